"""The producer's parts, and their start in order."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Final

from services.producer.backfill.backfill import Backfill
from services.producer.backfill.backfill_schedule import BackfillSchedule
from services.producer.candle_log import KafkaCandleLog
from services.producer.event_queue import Inbox
from services.producer.events import SymbolsChanged
from services.producer.exchanges.registry import EXCHANGES
from services.producer.finality.exchange_clock import ExchangeClock
from services.producer.finality.finality import Finality
from services.producer.market.held_responses import rows_of_page
from services.producer.market.tracker import MarketTracker
from services.producer.market.watcher import MarketWatcher
from services.producer.metrics import ProducerMetrics
from services.producer.ports import DayTicker, Exchange
from services.producer.rest.ban_store import KafkaBanStore
from services.producer.rest.rest_workers import RestOptions, RestWorkerPool
from services.producer.settings import ProducerSettings
from services.producer.streams.status import StreamOptions
from services.producer.streams.supervisor import StreamSupervisor
from services.producer.symbols.followed_set import FollowedSet
from services.producer.symbols.watcher import ListingOptions, SymbolWatcher
from services.producer.worker import ProducerWorker
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.contact import KafkaContact
from shared.adapters.logs import start_logging
from shared.adapters.process import exit_code, stop_on_signal
from shared.adapters.prometheus import Telemetry
from shared.adapters.retry import StopRequested, retry_until_available, wait_until
from shared.core.control import ControlState
from shared.core.errors import Unavailable
from shared.core.topics import interval_ms
from shared.log.basket_store import BasketStore
from shared.log.control_topic import ControlTopic
from shared.log.market_moves import LoggedMarketMoves

log = logging.getLogger(__name__)

JOIN_TIMEOUT_S: Final = 5.0
FIRST_TIME_S: Final = 20.0  # to wait for a first time of the exchange


def main() -> None:
    """Read the settings and run until SIGTERM or SIGINT."""
    settings = ProducerSettings.from_env(os.environ)
    start_logging(settings.log_level, "producer", settings.log_format)
    stop = stop_on_signal()
    telemetry = Telemetry("producer")
    stop_serving = telemetry.serve(settings.metrics_host, settings.metrics_port)
    try:
        with KafkaContact(settings.kafka, settings.topics.klines) as contact:
            telemetry.add_check(contact.problem)
            metrics = ProducerMetrics(telemetry, interval_ms(settings.interval))
            run(settings, metrics, stop)
    except StopRequested:
        log.debug("stopped while waiting for a server")
    finally:
        stop_serving()
    log.info("stopped")


def run(settings: ProducerSettings, metrics: ProducerMetrics, stop: threading.Event) -> None:
    """Publish candles until stop is set.

    Raises:
        BadSetting: a setting is wrong.
        Incompatible: the topics do not fit the settings.
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
    duration_ms = interval_ms(settings.interval)
    inbox = Inbox(clock=ExchangeClock(duration_ms))
    # 1. Wait for Kafka and the exchange; agree on the symbols, and on those that make the market.
    symbol_watcher = make_symbol_watcher(settings, exchange)
    changes = retry_until_available(
        stop, lambda: prepare(settings, exchange, symbol_watcher, inbox.clock)
    )
    market_watcher = make_market_watcher(settings, exchange, symbol_watcher)
    symbols, market = list(changes.joining), market_watcher.refresh()
    log.info(
        "following %d symbols, such as %s, and the prices of %d more",
        len(symbols),
        symbols[0],
        len(market.price_only),
    )
    inbox.events.put(changes)
    supervisor = StreamSupervisor(
        exchange, symbols, StreamOptions(settings.stream_silence_s, duration_ms), inbox, stop
    )
    candle_log = KafkaCandleLog(settings, partial(history_start_ms, settings, inbox.clock))
    tracker = MarketTracker(symbols, market, duration_ms, settings.market_price_max_age_ms)
    worker = make_worker(settings, exchange, candle_log, tracker, inbox, metrics)

    # 2. Connect the stream before the back-fill, so that no close is missed between the two: its
    #    candles wait in the queue, and the sequencer keeps those that are early.
    supervisor.follow_prices(market.price_only)
    stream = start_thread("stream", supervisor.run)
    start_thread("market", market_watcher.run, supervisor, inbox.events, stop)
    start_thread("symbols", symbol_watcher.run, supervisor, inbox, stop)
    start_thread("listing", symbol_watcher.run_listing, inbox.events, stop)
    try:
        # 3. Read the positions from the log, back-fill by REST up to now, continue with the stream.
        worker.run_until_stopped(stop, lambda: metrics.report_exchange(supervisor.status, exchange))
    finally:
        # 4. End the threads also after an error, then release the transactional producer.
        stop.set()
        stream.join(JOIN_TIMEOUT_S)
        candle_log.close()


def start_thread(name: str, target: Callable[..., None], *arguments: object) -> threading.Thread:
    """Start a thread that ends with the process."""
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    thread.start()
    return thread


def prepare(
    settings: ProducerSettings, exchange: Exchange, watcher: SymbolWatcher, clock: ExchangeClock
) -> SymbolsChanged:
    """Create the topics, read the exchange's clock, and choose the symbols to start with.

    Raises:
        Incompatible: as `run`.
        Unavailable: Kafka or the exchange does not answer.
    """
    servers, topics = settings.kafka, settings.topics
    ensure_topics(servers, topics)
    bans = ControlTopic(servers, topics, f"bans-{settings.interval}")
    exchange.keep_bans(KafkaBanStore(bans, settings.exchange))
    try:
        with closing(exchange.open_rest()) as rest:
            clock.on_rest_time(rest.server_time_ms())
    except Unavailable as error:  # the stream and the klines tell the time as well
        log.warning("%s; starting without the time of REST", error)
    return watcher.begin()


def history_start_ms(settings: ProducerSettings, clock: ExchangeClock) -> int:
    """Return the open time of the first candle wanted of a symbol that begins now."""
    # An exchange that tells no time, not by its stream either, leaves this machine's clock.
    wait_until(lambda: clock.read().closed_ms, timeout_s=FIRST_TIME_S)
    duration_ms = interval_ms(settings.interval)
    now_ms = clock.read().closed_ms or time.time_ns() // 1_000_000
    return max(0, now_ms - now_ms % duration_ms - settings.backfill_candles * duration_ms)


def make_symbol_watcher(settings: ProducerSettings, exchange: Exchange) -> SymbolWatcher:
    """Return the watcher of the followed symbols."""
    servers, topics, selection = (
        settings.kafka,
        settings.topics,
        settings.selection,
    )
    return SymbolWatcher(
        FollowedSet(selection, settings.delisted_after_s, ControlState()),
        ControlTopic(servers, topics, f"producer-{settings.interval}"),
        exchange.open_rest,
        ListingOptions(settings.listing_refresh_s, selection.most_traded > 0),
    )


def make_market_watcher(
    settings: ProducerSettings, exchange: Exchange, symbols: SymbolWatcher
) -> MarketWatcher:
    """Return the watcher of the market's symbols and baskets."""
    baskets = BasketStore(settings.kafka, settings.topics)

    def fetch_tickers() -> Sequence[DayTicker]:
        with closing(exchange.open_rest()) as rest:
            return rest.fetch_tickers()

    return MarketWatcher(
        lambda: symbols.listing, settings.price_symbols, fetch_tickers, baskets.newest
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
    servers, topics = settings.kafka, settings.topics
    symbols, duration_ms = market.followed, interval_ms(settings.interval)
    pool = RestWorkerPool(
        RestOptions(settings.rest_threads, duration_ms, lambda: rows_of_page(len(market.followed))),
        exchange,
        LoggedMarketMoves(servers, topics, settings.codec).read,
        inbox,
    )
    return ProducerWorker(
        candle_log,
        inbox,
        Backfill(
            BackfillSchedule(symbols, duration_ms, settings.close_grace_s),
            settings.gap_limits,
            Finality(
                duration_ms,
                int(settings.reconcile_after_s * 1000),
                lambda: exchange.klines_per_minute,
            ),
        ),
        market,
        pool,
        metrics,
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
