"""The producer's parts, and their start in order."""

import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Final

from services.producer.backfill import Backfill
from services.producer.backfill_schedule import BackfillSchedule
from services.producer.candle_log import KafkaCandleLog
from services.producer.event_queue import Inbox
from services.producer.exchange_clock import ExchangeClock
from services.producer.exchanges.registry import EXCHANGES
from services.producer.held_responses import rows_of_page
from services.producer.market_selection import Listing
from services.producer.market_tracker import MarketTracker
from services.producer.market_watcher import MarketWatcher
from services.producer.metrics import ProducerMetrics
from services.producer.ports import DayTicker, Exchange, ListedSymbol, RestClient
from services.producer.rest_workers import RestOptions, RestWorkerPool
from services.producer.settings import ProducerSettings
from services.producer.streams.status import StreamOptions
from services.producer.streams.supervisor import StreamSupervisor
from services.producer.symbol_selection import select_symbols
from services.producer.worker import ProducerWorker
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.process import exit_code, log_to_stderr, stop_on_signal
from shared.adapters.prometheus import Telemetry
from shared.adapters.retry import StopRequested, retry_until_available
from shared.core.topics import interval_ms
from shared.log.basket_store import BasketStore
from shared.log.market_moves import LoggedMarketMoves
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
        settings.interval,
        settings.exchange_rest_url,
        settings.exchange_stream_url,
        settings.rest_limits,
        stop,
    )
    # 1. Wait for Kafka and the exchange; agree on the symbols, and on those that make the market.
    with closing(exchange.open_rest()) as rest:
        candle_log, symbols, listed = retry_until_available(
            stop, lambda: prepare(settings, exchange, rest)
        )
    watcher = make_watcher(settings, exchange, symbols, listed)
    market = watcher.refresh()
    log.info(
        "following %d symbols, such as %s, and the prices of %d more",
        len(symbols),
        symbols[0],
        len(market.price_only),
    )
    duration_ms = interval_ms(settings.interval)
    inbox = Inbox(clock=ExchangeClock(duration_ms))
    supervisor = StreamSupervisor(
        exchange, symbols, StreamOptions(settings.stream_silence_s, duration_ms), inbox, stop
    )
    tracker = MarketTracker(symbols, market, duration_ms, settings.market_price_max_age_ms)
    worker = make_worker(settings, exchange, candle_log, tracker, inbox, metrics)

    # 2. Connect the stream before the back-fill, so that no close is missed between the two: its
    #    candles wait in the queue, and the sequencer keeps those that are early.
    supervisor.follow_prices(market.price_only)
    stream = threading.Thread(target=supervisor.run, name="stream", daemon=True)
    stream.start()
    threading.Thread(
        target=watcher.run, args=(supervisor, inbox.events, stop), name="market", daemon=True
    ).start()
    try:
        # 3. Read the positions from the log, back-fill by REST up to now, continue with the stream.
        worker.run_until_stopped(stop, lambda: metrics.report_exchange(supervisor.status, exchange))
    finally:
        # 4. End the threads also after an error, then release the transactional producer.
        stop.set()
        stream.join(JOIN_TIMEOUT_S)
        candle_log.close()


def prepare(
    settings: ProducerSettings, exchange: Exchange, rest: RestClient
) -> tuple[KafkaCandleLog, Sequence[str], Mapping[str, ListedSymbol]]:
    """Create the topics, choose the symbols, and find where the history of a new symbol begins.

    Returns:
        The log, the symbols to follow, and all symbols that the exchange lists.

    Raises:
        BadSetting, Incompatible: as `run`.
        Unavailable: Kafka or the exchange does not answer.
    """
    servers, topics = settings.kafka_bootstrap_servers, settings.topics
    ensure_topics(servers, topics)
    find_in_log = partial(read_positions, servers, topics, settings.codec)
    listed = rest.list_symbols()
    symbols = select_symbols(settings.named_symbols, listed, find_in_log)
    duration_ms, now_ms = interval_ms(settings.interval), rest.server_time_ms()
    start_ms = now_ms - now_ms % duration_ms - settings.backfill_candles * duration_ms
    return KafkaCandleLog(settings, max(0, start_ms)), symbols, listed


def make_watcher(
    settings: ProducerSettings,
    exchange: Exchange,
    symbols: Sequence[str],
    listed: Mapping[str, ListedSymbol],
) -> MarketWatcher:
    """Return what keeps the market's symbols and baskets up to date."""
    baskets = BasketStore(settings.kafka_bootstrap_servers, settings.topics)

    def fetch_tickers() -> Sequence[DayTicker]:
        with closing(exchange.open_rest()) as rest:
            return rest.fetch_tickers()

    return MarketWatcher(
        Listing(symbols, listed), settings.price_symbols, fetch_tickers, baskets.newest
    )


def make_worker(
    settings: ProducerSettings,
    exchange: Exchange,
    candle_log: KafkaCandleLog,
    market: MarketTracker,
    inbox: Inbox,
    metrics: ProducerMetrics,
) -> ProducerWorker:
    """Return the worker with the threads that send its requests."""
    servers, topics = settings.kafka_bootstrap_servers, settings.topics
    symbols, duration_ms = market.followed, interval_ms(settings.interval)
    pool = RestWorkerPool(
        RestOptions(settings.rest_threads, duration_ms, rows_of_page(len(symbols))),
        exchange,
        LoggedMarketMoves(servers, topics, settings.codec).read,
        inbox,
    )
    return ProducerWorker(
        candle_log,
        inbox,
        Backfill(
            BackfillSchedule(symbols, duration_ms, settings.close_grace_s), settings.gap_limits
        ),
        market,
        pool.request_klines,
        metrics,
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
