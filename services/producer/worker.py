"""The producer's loop: take events, decide, append in a transaction, request missing candles."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from services.producer.backfill_schedule import BackfillSchedule
from services.producer.event_queue import Inbox
from services.producer.events import (
    MarketChanged,
    ProducerEvent,
    RestFailure,
    RestResponse,
    StreamConnected,
    ThreadFailure,
)
from services.producer.market_tracker import MarketTracker
from services.producer.metrics import ProducerMetrics
from services.producer.ports import CandleLog
from services.producer.requests import KlineRequest
from services.producer.sequencer import (
    LogEntry,
    ReceivedCandle,
    SymbolCursor,
    Transition,
    UnreadableKline,
    on_rest_klines,
    on_stream_kline,
)
from shared.adapters.kafka.errors import Aborted, OutcomeUnknown
from shared.adapters.retry import retry_until_available
from shared.core.errors import Unavailable

log = logging.getLogger(__name__)

POLL_S: Final = 0.2
# An open transaction holds back every reader of the topic, so it is kept short.
MAX_RECORDS_PER_TRANSACTION: Final = 2_000


class ProducerWorker:
    """Keeps each symbol's cursor; after a failed commit they are read from the log again."""

    def __init__(
        self,
        candle_log: CandleLog,
        inbox: Inbox,
        schedule: BackfillSchedule,
        market: MarketTracker,
        request_klines: Callable[[KlineRequest], None],
        metrics: ProducerMetrics,
    ) -> None:
        """Store the parts; call `recover` before the first `run_once`.

        Args:
            candle_log: the log to append to.
            inbox: what the other threads report.
            schedule: decides what to request.
            market: adds the market's move to the candles.
            request_klines: requests klines; a RestResponse or a RestFailure comes through the
                inbox.
            metrics: counts what was published.
        """
        self._log, self._inbox, self._schedule = candle_log, inbox, schedule
        self._market, self._request_klines, self._metrics = market, request_klines, metrics
        self._rest_responds = True
        self._releases_more = False  # a round releases a part of the responses that may go
        self._cursors: dict[str, SymbolCursor] = {}
        self._logged_until_ms = 0  # the log has candles up to here, of one symbol at least

    def recover(self) -> None:
        """Become the only writer of the log and read where each symbol is.

        Raises:
            Unavailable: Kafka does not answer; recover again.
        """
        # In this order: once other writers are fenced, nothing can be added behind the positions
        # that are read.
        self._log.open()
        self._read_cursors()

    def follow(self, symbols: Collection[str]) -> None:
        """Add symbols: each goes on where the log has it, or begins like a new one.

        Call it on the thread that runs the worker; the log is read in its next round.
        """
        self._schedule.follow(symbols)
        self._market.follow(symbols)

    def unfollow(self, symbol: str) -> None:
        """Append no more candles of a symbol; what is still on its way is dropped.

        Call it on the thread that runs the worker.
        """
        self._cursors.pop(symbol, None)
        self._schedule.unfollow(symbol)
        self._market.unfollow(symbol)

    def run_until_stopped(self, stop: threading.Event, report: Callable[[], None]) -> None:
        """Recover, then run until stop is set; recover again whenever Kafka was away.

        Args:
            stop: ends the loop.
            report: called after each round.

        Raises:
            Fenced: another process has become the writer.
            StopRequested: stop was set during a recovery.
        """
        retry_until_available(stop, self.recover)
        while not stop.is_set():
            try:
                self.run_once()
            except Unavailable as error:
                log.warning("%s; recovering from the log", error)
                self._metrics.report_unavailable(str(error))
                retry_until_available(stop, self.recover)
            report()

    def run_once(self) -> None:
        """Handle the events that are waiting; wait a little if there are none.

        Raises:
            Fenced: another process has become the writer.
            Unavailable: Kafka does not answer; recover before the next call.
        """
        # 1. Find where symbols that are followed since the last round stand in the log.
        self._place_new_symbols()
        # 2. Decide. The cursors in memory are now ahead of the log.
        events = self._inbox.events.drain(0.0 if self._releases_more else POLL_S)
        entries = [entry for event in events for entry in self._on_event(event)]
        # 3. Take the prices only now: what was heard last belongs to these candles. Then some REST
        #    responses need not wait any longer.
        self._market.listen(self._inbox.prices.drain())
        entries += self._release_responses()
        # 4. Append. After a failure the rest is dropped too: the cursors are back where the log
        #    is, and REST gives everything from there again.
        recorded = self._market.record(entries)
        for first in range(0, len(recorded), MAX_RECORDS_PER_TRANSACTION):
            if not self._publish(recorded[first : first + MAX_RECORDS_PER_TRANSACTION]):
                break
        # 5. Request what is missing, only now that the cursors agree with the log.
        self._market.tidy_up(recorded)
        self._request_missing()
        self._report()

    def _place_new_symbols(self) -> None:
        if new := self._schedule.symbols - self._cursors.keys():
            self._cursors |= self._log.read_cursors(new)

    def _release_responses(self) -> Iterable[LogEntry]:
        self._releases_more = False
        if not self._market.held_symbols:
            return ()
        awaited_ms = self._schedule.awaited_from_ms(self._cursors, self._market.held_symbols)
        released = self._market.release(awaited_ms, time.monotonic())
        self._releases_more = bool(released and self._market.held_symbols)
        return [entry for response in released for entry in self._apply_response(response)]

    def _request_missing(self) -> None:
        server_ms = self._inbox.clock.read().now_ms
        for cursor in self._schedule.take_due(self._cursors, server_ms, time.monotonic()):
            from_ms, until_ms = cursor.next_open_time_ms, self._logged_until_ms
            logged_ms = 0 if self._market.has_learnt(from_ms) else until_ms
            self._request_klines(KlineRequest(cursor.symbol, from_ms, logged_ms))
        for symbol, from_ms in self._market.take_due():
            self._request_klines(KlineRequest(symbol, from_ms))

    def _report(self) -> None:
        behind = self._schedule.symbols_behind(self._cursors, self._inbox.clock.read().now_ms)
        pending = self._schedule.pending_backfills()
        self._metrics.report_progress(len(self._cursors), len(behind), pending)
        self._metrics.report_market(self._market)

    def _on_event(self, event: ProducerEvent) -> Iterable[LogEntry]:
        match event:
            case ReceivedCandle():
                return self._on_stream_kline(event)
            case UnreadableKline():
                # A dead letter; the candle is requested from REST once overdue.
                return (event,) if self._is_followed(event.symbol) else ()
            case RestResponse():
                return self._on_rest_response(event)
            case RestFailure():
                self._on_rest_failure(event)
            case MarketChanged():
                self._market.change(event)
            case StreamConnected():
                log.info("the stream is connected")
                self._schedule.catch_up(self._cursors, self._inbox.clock.read().now_ms)
                self._market.on_connected(self._inbox.clock.read().now_ms)
            case ThreadFailure():
                raise event.error
        return ()

    def _is_followed(self, symbol: str) -> bool:
        """Return whether a symbol's candles are written; one that is not readable may be."""
        return not symbol or symbol in self._cursors

    def _on_stream_kline(self, kline: ReceivedCandle) -> Sequence[LogEntry]:
        cursor = self._cursors.get(kline.symbol)
        if cursor is None:  # followed for its price alone
            return ()
        transition = on_stream_kline(cursor, kline, self._schedule.interval_ms)
        if transition.cursor.early:
            self._schedule.expedite(kline.symbol)
        return self._apply(transition)

    def _on_rest_response(self, response: RestResponse) -> Sequence[LogEntry]:
        self._rest_responds = True
        waits = self._market.take(response, time.monotonic())
        return () if waits else self._apply_response(response)

    def _apply_response(self, response: RestResponse) -> Sequence[LogEntry]:
        before = self._cursors.get(response.symbol)
        if before is None:  # not followed any longer
            return ()
        transition = on_rest_klines(
            before, response.requested_from_ms, response.rows, self._schedule.interval_ms
        )
        after = transition.cursor
        advanced = after.next_open_time_ms > before.next_open_time_ms
        retries_row = after.unreadable_attempts > before.unreadable_attempts
        has_more = response.has_more or retries_row or bool(after.early)
        self._schedule.on_response(
            response.symbol, time.monotonic(), advanced=advanced, has_more=has_more
        )
        return self._apply(transition)

    def _on_rest_failure(self, failure: RestFailure) -> None:
        # One warning for a row of failures: an exchange that is down fails once for each symbol.
        level = logging.WARNING if self._rest_responds else logging.DEBUG
        log.log(level, "%s", failure.reason)
        self._rest_responds = False
        self._metrics.rest_failures.inc()
        if not self._market.on_failure(failure.symbol):
            self._schedule.on_failure(failure.symbol, time.monotonic())

    def _apply(self, transition: Transition) -> Sequence[LogEntry]:
        self._cursors[transition.cursor.symbol] = transition.cursor
        self._metrics.stale.inc(transition.stale)
        return transition.entries

    def _publish(self, entries: Sequence[LogEntry]) -> bool:
        """Append entries; return False, with the cursors read again, if the commit failed."""
        try:
            self._log.append(entries)
        except (Aborted, OutcomeUnknown) as error:
            log.warning("%s; reading the position of each symbol from the log", error)
            self._metrics.aborts.inc()
            self._read_cursors()
            return False
        self._metrics.count_published(entries, time.time_ns() // 1_000_000)
        return True

    def _read_cursors(self) -> None:
        self._cursors = dict(self._log.read_cursors(self._schedule.symbols))
        logged = (each.next_open_time_ms for each in self._cursors.values() if not each.is_new)
        self._logged_until_ms = max(logged, default=0)
        self._schedule.catch_up(self._cursors, self._inbox.clock.read().now_ms)
