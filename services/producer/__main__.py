"""The producer's parts, and their start in order."""

import logging
import os
import sys
import threading
from contextlib import closing
from functools import partial
from typing import Final

from services.producer.backfill_schedule import BackfillSchedule
from services.producer.candle_log import KafkaCandleLog
from services.producer.event_queue import EventQueue, ServerTime
from services.producer.exchanges.registry import EXCHANGES
from services.producer.metrics import ProducerMetrics
from services.producer.ports import Exchange, RestClient
from services.producer.rest_workers import RestWorkerPool
from services.producer.settings import ProducerSettings
from services.producer.stream_supervisor import StreamSupervisor
from services.producer.symbol_selection import select_symbols
from services.producer.worker import ProducerWorker
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.process import exit_code, log_to_stderr, stop_on_signal
from shared.adapters.prometheus import Telemetry
from shared.adapters.retry import StopRequested, retry_until_available
from shared.core.topics import interval_ms
from shared.log.positions import read_positions

log = logging.getLogger(__name__)

JOIN_TIMEOUT_S: Final = 5.0


def main() -> None:
    """Read the settings and run until SIGTERM or SIGINT."""
    settings = ProducerSettings.from_env(os.environ)
    log_to_stderr(settings.log_level, "producer")
    stop = stop_on_signal()
    telemetry = Telemetry("producer")
    stop_serving = telemetry.serve(settings.metrics_host, settings.metrics_port)
    try:
        run(settings, ProducerMetrics(telemetry), stop)
    except StopRequested:
        log.debug("stopped while waiting for a server")
    finally:
        stop_serving()
    log.info("stopped")


def run(settings: ProducerSettings, metrics: ProducerMetrics, stop: threading.Event) -> None:
    """Publish candles until stop is set.

    Raises:
        BadSetting: a setting is wrong.
        Incompatible: the topics do not fit the settings, or the exchange does not serve this
            location.
        Fenced: another producer has taken over.
        StopRequested: stop was set before the servers answered.
    """
    exchange = EXCHANGES[settings.exchange](
        settings.interval, settings.exchange_rest_url, settings.exchange_stream_url, stop
    )
    # 1. Wait for Kafka and the exchange, and agree on the symbols.
    with closing(exchange.open_rest()) as rest:
        candle_log = retry_until_available(stop, lambda: prepare_log(settings, exchange, rest))
    symbols, duration_ms = candle_log.symbols, interval_ms(settings.interval)
    log.info("following %d symbols, such as %s", len(symbols), symbols[0])
    server_time, events = ServerTime(), EventQueue()
    schedule = BackfillSchedule(symbols, duration_ms, settings.close_grace_s)
    pool = RestWorkerPool(settings.rest_threads, exchange.open_rest, server_time, events)
    worker = ProducerWorker(candle_log, events, schedule, pool.request_klines, server_time, metrics)
    supervisor = StreamSupervisor(
        exchange, symbols, settings.stream_silence_s, events, server_time, stop
    )
    stream = threading.Thread(target=supervisor.run, name="stream", daemon=True)

    # 2. Connect the stream before the back-fill, so that no close is missed between the two: its
    #    candles wait in the queue, and the sequencer keeps those that are early.
    stream.start()
    try:
        # 3. Read the positions from the log, back-fill by REST up to now, continue with the stream.
        worker.run_until_stopped(stop, lambda: metrics.report_exchange(supervisor, exchange))
    finally:
        # 4. End the threads also after an error, then release the transactional producer.
        stop.set()
        stream.join(JOIN_TIMEOUT_S)
        candle_log.close()


def prepare_log(settings: ProducerSettings, exchange: Exchange, rest: RestClient) -> KafkaCandleLog:
    """Create the topics, choose the symbols, and find where the history of a new symbol begins.

    Raises:
        BadSetting, Incompatible: as `run`.
        Unavailable: Kafka or the exchange does not answer.
    """
    servers, topics = settings.kafka_bootstrap_servers, settings.topics
    ensure_topics(servers, topics)
    find_in_log = partial(read_positions, servers, topics, settings.codec)
    symbols = select_symbols(
        settings.named_symbols, rest.list_symbols(), find_in_log, exchange.max_symbols
    )
    duration_ms, now_ms = interval_ms(settings.interval), rest.server_time_ms()
    start_ms = now_ms - now_ms % duration_ms - settings.backfill_candles * duration_ms
    return KafkaCandleLog(settings, symbols, max(0, start_ms))


if __name__ == "__main__":
    sys.exit(exit_code(main))
