"""What the producer does, in order."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from services.producer.backfill_schedule import BackfillSchedule
from services.producer.event_queue import EventQueue
from services.producer.exchanges.binance.client import (
    STREAMS_AT_MOST,
    RateLimiter,
    RestClient,
    StreamClient,
)
from services.producer.exchanges.binance.schemas import SYMBOL
from services.producer.exchanges.binance.stream_supervisor import StreamSupervisor
from services.producer.metrics import ProducerMetrics
from services.producer.rest_workers import RestWorkerPool
from services.producer.sequencer import SymbolCursor
from services.producer.server_time import ServerTime
from services.producer.settings import ProducerSettings
from services.producer.worker import ProducerWorker, run_until_stopped
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.errors import Fenced
from shared.adapters.kafka.producer import TransactionalProducer
from shared.adapters.prometheus import Telemetry
from shared.adapters.retry import StopRequested, retry_until_available
from shared.core.errors import BadSetting, Incompatible
from shared.core.topics import interval_ms
from shared.log.positions import producer_transactional_id, read_positions

log = logging.getLogger("ulstm")

FRAME_SILENCE_S: Final = 60.0  # the exchange pings every 20 s
TRADING: Final = "TRADING"
STOP_S: Final = 5.0


def run(settings: ProducerSettings, stop: threading.Event) -> None:
    """Publish candles until stop is set.

    Raises:
        BadSetting: a setting is wrong.
        Incompatible: another producer has taken over, the log does not fit, or the exchange does not serve us.
    """
    telemetry = Telemetry("producer")
    stop_serving = telemetry.serve(settings.metrics_host, settings.metrics_port)
    try:
        _produce(settings, telemetry, stop)
    except StopRequested as request:
        log.info("stopped: %s", request)
    except Fenced as error:
        raise Incompatible(str(error)) from error
    finally:
        stop_serving()


def _produce(settings: ProducerSettings, telemetry: Telemetry, stop: threading.Event) -> None:
    where, topics, step_ms = (
        settings.kafka_bootstrap_servers,
        settings.topics,
        interval_ms(settings.interval),
    )
    budget, exchange_time, inbox = RateLimiter(stop), ServerTime(), EventQueue()
    rest = RestClient(settings.exchange_rest_url, budget)
    retry_until_available(stop, lambda: ensure_topics(where, topics))
    statuses = retry_until_available(stop, rest.statuses)
    begin_ms = retry_until_available(
        stop, lambda: _begin_ms(rest, settings.backfill_candles, step_ms)
    )
    symbols = retry_until_available(
        stop,
        lambda: followed(settings.named_symbols, statuses, lambda names: _known(settings, names)),
    )
    log.info("following %d symbols, such as %s", len(symbols), symbols[0])
    measures = ProducerMetrics(telemetry, step_ms)
    askers = RestWorkerPool(
        settings.rest_threads,
        lambda: RestClient(settings.exchange_rest_url, budget),
        exchange_time,
        settings.interval,
        inbox,
    )
    loop = ProducerWorker(
        topics,
        lambda: places(symbols, read_positions(where, topics, settings.codec, symbols), begin_ms),
        lambda: TransactionalProducer(where, producer_transactional_id(topics)),
        inbox,
        BackfillSchedule(symbols, step_ms, settings.close_grace_s),
        askers,
        exchange_time,
        measures,
    )
    quiet_s = max(FRAME_SILENCE_S, settings.stream_silence_s)
    supervisor = StreamSupervisor(
        lambda heard, broke: StreamClient(settings.exchange_stream_url, heard, broke, quiet_s),
        symbols,
        settings.interval,
        settings.stream_silence_s,
        inbox,
        exchange_time,
        stop,
    )
    supervisor.start()
    retry: Callable[[Callable[[], None]], None] = partial(retry_until_available, stop)
    try:
        run_until_stopped(
            loop, stop, retry, lambda: _tell(measures, supervisor, budget), measures.unavailable
        )
    finally:
        stop.set()
        supervisor.join(STOP_S)
        loop.close()
        rest.close()
    log.info("stopped")


def followed(
    named: Sequence[str] | None,
    statuses: Mapping[str, str],
    known: Callable[[Sequence[str]], Iterable[str]],
) -> list[str]:
    """Return the symbols to follow.

    Args:
        named: in the settings; None means all that are traded.
        statuses: of the symbols the exchange lists.
        known: tells which of some symbols the log has: those may have left the exchange.

    Raises:
        BadSetting: the exchange and the log know nothing of a symbol, or there are too many.
    """
    symbols = _traded(statuses) if named is None else list(named)
    strange = [symbol for symbol in symbols if symbol not in statuses]
    in_log = set(known(strange)) if strange else set()
    unknown = [symbol for symbol in strange if symbol not in in_log]
    if unknown:
        message = (
            f"SYMBOLS names {', '.join(unknown[:5])}, which the exchange does not list: correct it"
        )
        raise BadSetting(message)
    if strange:
        log.warning("the exchange no longer lists %s", ", ".join(strange))
    kept = [symbol for symbol in symbols if symbol in statuses]
    if not 1 <= len(kept) <= STREAMS_AT_MOST:
        message = f"SYMBOLS gives {len(kept)} symbols; one producer follows 1 to {STREAMS_AT_MOST}: name them"
        raise BadSetting(message)
    return kept


def _traded(statuses: Mapping[str, str]) -> list[str]:
    """Return the symbols that are traded, without those whose names the log cannot take."""
    traded = sorted(symbol for symbol, status in statuses.items() if status == TRADING)
    kept = [symbol for symbol in traded if SYMBOL.fullmatch(symbol)]
    if len(kept) < len(traded):
        left_out = ", ".join(symbol for symbol in traded if symbol not in set(kept))
        log.warning("not following %s: a symbol is 2 to 30 capital letters and digits", left_out)
    return kept


def places(
    symbols: Sequence[str], standing: Mapping[str, int], begin_ms: int
) -> dict[str, SymbolCursor]:
    """Return where each symbol stands; one that the log has nothing of begins at `begin_ms`."""
    return {
        s: SymbolCursor(s, standing.get(s, begin_ms), is_new=s not in standing) for s in symbols
    }


def _known(settings: ProducerSettings, symbols: Sequence[str]) -> Iterable[str]:
    return read_positions(
        settings.kafka_bootstrap_servers, settings.topics, settings.codec, symbols
    )


def _begin_ms(rest: RestClient, candles: int, step_ms: int) -> int:
    """Return the open time of the candle so many before the one that is open now."""
    now_ms = rest.time_ms()
    return max(0, now_ms - now_ms % step_ms - candles * step_ms)


def _tell(measures: ProducerMetrics, supervisor: StreamSupervisor, budget: RateLimiter) -> None:
    measures.exchange(
        connected=supervisor.connected, reconnects=supervisor.reconnects, weight=budget.used
    )
