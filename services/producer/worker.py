"""The producer's loop: take events, decide, append in a transaction, request missing candles."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from math import inf
from typing import Final

from services.producer.backfill import Backfill
from services.producer.checked_page import CheckedPage
from services.producer.dead_letter_limit import DeadLetterLimit
from services.producer.event_queue import Inbox
from services.producer.events import (
    MarketChanged,
    ProducerEvent,
    RestFailure,
    RestResponse,
    StreamConnected,
    SymbolsChanged,
    ThreadFailure,
)
from services.producer.market_tracker import MarketTracker
from services.producer.metrics import ProducerMetrics
from services.producer.page_check import check_page
from services.producer.ports import CandleLog, KlineRequester
from services.producer.refused_entries import RefusedEntries
from services.producer.requests import KlineRequest, Priority
from services.producer.sequencer import (
    LogEntry,
    ReceivedCandle,
    SymbolCursor,
    Transition,
    UnreadableKline,
)
from services.producer.symbol_statuses import StatusBook
from shared.adapters.kafka.errors import Aborted, OutcomeUnknown, Refused
from shared.adapters.retry import retry_until_available
from shared.core.errors import Unavailable

log = logging.getLogger(__name__)

POLL_S: Final = 0.2
REPORT_S: Final = 1.0  # between two looks at every symbol
# An open transaction holds back every reader of the topic, so it is kept short.
MAX_RECORDS_PER_TRANSACTION: Final = 2_000


class ProducerWorker:
    """Keeps each symbol's cursor; after a failed commit they are read from the log again."""

    def __init__(
        self,
        candle_log: CandleLog,
        inbox: Inbox,
        backfill: Backfill,
        market: MarketTracker,
        requester: KlineRequester,
        metrics: ProducerMetrics,
    ) -> None:
        """Store the parts; call `recover` before the first `run_once`.

        Args:
            candle_log: the log to append to.
            inbox: what the other threads report.
            backfill: decides what to request, and what the pages prove.
            market: adds the market's move to the candles.
            requester: sends the requests.
            metrics: counts what was published.
        """
        self._log, self._inbox, self._backfill = candle_log, inbox, backfill
        self._finality = backfill.finality
        self._market, self._requester, self._metrics = market, requester, metrics
        self._monotonic_s, self._dead_letters = inbox.clock.monotonic_s, DeadLetterLimit()
        self._refused = RefusedEntries()
        self._rest_responds = True
        self._closed_ms = 0  # the exchange's time in the last round
        self._statuses = StatusBook(backfill.schedule.interval_ms)
        self._releases_more = False  # a round releases a part of the responses that may go
        self._cursors: dict[str, SymbolCursor] = {}
        self._next_report_s = -inf
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
        self._read_tail()

    def follow(self, symbols: Collection[str]) -> None:
        """Add symbols: each goes on where the log has it, or begins like a new one.

        Call it on the thread that runs the worker; the log is read in its next round.
        """
        self._backfill.follow(symbols)
        self._market.follow(symbols)

    def unfollow(self, symbol: str) -> None:
        """Append no more candles of a symbol; what is still on its way is dropped.

        Call it on the thread that runs the worker.
        """
        self._cursors.pop(symbol, None)
        self._backfill.unfollow(symbol)
        self._market.unfollow(symbol)
        self._requester.drop(symbol)

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
        # 0. What Kafka refuses for good is not offered all the time, and nothing is asked for.
        if self._refused.must_wait(self._monotonic_s()):
            time.sleep(POLL_S)
            return
        # 1. Find where symbols that are followed since the last round stand in the log.
        self._place_new_symbols()
        # 2. Decide. The cursors in memory are now ahead of the log.
        events = self._inbox.events.drain(0.0 if self._releases_more else POLL_S)
        entries: list[LogEntry] = [
            *self._finality.take_corrections(self._backfill.symbols, self._inbox.clock.read())
        ]
        entries += [entry for event in events for entry in self._on_event(event)]
        # 3. Take the prices only now: what was heard last belongs to these candles. Then some REST
        #    responses need not wait any longer.
        self._market.listen(self._inbox.prices.drain())
        entries += self._release_pages()
        entries = self._with_statuses(entries)
        # 4. Append. After a failure the rest is dropped too: the cursors are back where the log
        #    is, and REST gives everything from there again.
        recorded = self._market.record(self._limit_dead_letters(entries))
        self._publish_all([*self._refused.take(), *recorded])
        # 5. Request what is missing, only now that the cursors agree with the log.
        self._market.tidy_up(recorded)
        self._drop_ended_symbols()
        if not self._refused.must_wait(self._monotonic_s()):
            self._request_missing()
        self._report()

    def _place_new_symbols(self) -> None:
        closed_ms, was_ms = self._inbox.clock.read().closed_ms, self._closed_ms
        self._closed_ms = closed_ms
        if closed_ms < was_ms - 2 * self._backfill.interval_ms:
            # The clock was wrong: so is where the history of new symbols was to begin.
            self._cursors = {name: each for name, each in self._cursors.items() if not each.is_new}
        if new := self._backfill.symbols - self._cursors.keys():
            placed = self._log.read_cursors(new)
            self._cursors |= placed
            self._statuses.place(placed.values())

    def _with_statuses(self, entries: Sequence[LogEntry]) -> list[LogEntry]:
        now_ms = self._inbox.clock.read().now_ms
        due = self._statuses.take_due(self._cursors, now_ms, self._monotonic_s())
        return [*self._statuses.announce(entries), *due]

    def _drop_ended_symbols(self) -> None:
        for symbol in self._statuses.take_ended(self._cursors):
            self.unfollow(symbol)
            self._inbox.ended.put(symbol)

    def _release_pages(self) -> Iterable[LogEntry]:
        self._releases_more = False
        if not self._market.held_symbols:
            return ()
        awaited_ms = self._backfill.schedule.awaited_from_ms(
            self._cursors, self._market.held_symbols
        )
        released = self._market.release(awaited_ms, self._monotonic_s())
        self._releases_more = bool(released and self._market.held_symbols)
        return [entry for page in released for entry in self._append_page(page)]

    def _limit_dead_letters(self, entries: Sequence[LogEntry]) -> Sequence[LogEntry]:
        now_s = self._monotonic_s()
        kept = self._dead_letters.keep(entries, now_s)
        self._metrics.suppressed.inc(len(entries) - len(kept))
        if message := self._dead_letters.report(now_s):
            log.warning("%s", message)
        return kept

    def _request_missing(self) -> None:
        server_ms, now_s = self._inbox.clock.read().now_ms, self._monotonic_s()
        for symbol in self._backfill.schedule.take_lost(self._market.held_symbols, now_s):
            self._on_rest_failure(RestFailure(symbol, f"klines of {symbol}: no answer came"))
        for request in self._backfill.take_due(self._cursors, server_ms, now_s):
            knows_moves = self._market.has_learnt(request.from_ms)
            logged_ms = 0 if knows_moves else self._logged_until_ms
            self._requester.request_klines(replace(request, logged_until_ms=logged_ms))
        for symbol, from_ms in self._market.take_due(now_s):
            self._requester.request_klines(KlineRequest(symbol, from_ms, priority=Priority.PRICES))
        if (compared := self._finality.take_due(self._inbox.clock.read(), now_s)) is not None:
            self._requester.request_klines(compared)

    def _report(self) -> None:
        self._metrics.report_market(self._market)
        self._metrics.report_finality(self._finality.compared, self._inbox.clock.implausible)
        server_ms, now_s = self._inbox.clock.read().now_ms, self._monotonic_s()
        if now_s >= self._next_report_s:
            self._next_report_s = now_s + REPORT_S
            facts = self._backfill.collect_facts(self._cursors, server_ms, self._statuses.halted)
            self._metrics.report_symbols(facts, server_ms, _wall_ms(), now_s)
        if self._refused.must_wait(now_s):
            self._metrics.report_unavailable(self._refused.reason)

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
            case MarketChanged() | SymbolsChanged():
                self._on_change(event)
            case StreamConnected():
                self._catch_up(event.symbols)
                self._market.on_connected(event.symbols, self._inbox.clock.read().now_ms)
            case ThreadFailure():
                raise event.error
        return ()

    def _on_change(self, change: MarketChanged | SymbolsChanged) -> None:
        if isinstance(change, MarketChanged):
            self._market.change(change)
            return
        self.follow(change.joining)
        self._statuses.observe(change, self._inbox.clock.read().now_ms)
        traded = (each.symbol for each in change.observed if each.status == "resumed")
        self._backfill.schedule.on_traded(traded)

    def _is_followed(self, symbol: str) -> bool:
        """Return whether a symbol's candles are written; one that is not readable may be."""
        return not symbol or symbol in self._cursors

    def _on_stream_kline(self, kline: ReceivedCandle) -> Sequence[LogEntry]:
        cursor = self._cursors.get(kline.symbol)
        if cursor is None:  # followed for its price alone
            return ()
        corrections = self._finality.on_stream_kline(cursor, kline)
        return [*corrections, *self._apply(self._backfill.on_stream_kline(cursor, kline))]

    def _on_rest_response(self, response: RestResponse) -> Sequence[LogEntry]:
        self._rest_responds = True
        self._backfill.schedule.on_answer()
        cursor, now_s = self._cursors.get(response.symbol), self._monotonic_s()
        # 1. A page that contradicts itself is no answer.
        page = check_page(response, self._backfill.interval_ms)
        if isinstance(page, CheckedPage):
            if response.priority is Priority.RECONCILIATION:
                return self._finality.on_compared_page(page)
            # 2. It ends before the first row that is not final yet.
            page = self._finality.settle(page, response, is_followed=cursor is not None)
        # 3. What it denies is a gap only when it is certain; what comes after that waits.
        if cursor is not None and isinstance(page, CheckedPage):
            page = self._backfill.weigh(cursor, page, now_s)
        if isinstance(page, RestFailure):
            self._on_rest_failure(page, has_answered=True)
            return ()
        # 4. Its candles wait for the market's move.
        waits = self._market.take(page, now_s)
        return () if waits else self._append_page(page)

    def _append_page(self, page: CheckedPage) -> Sequence[LogEntry]:
        cursor = self._cursors.get(page.symbol)
        if cursor is None:  # not followed any longer
            return ()
        return self._apply(self._backfill.append(cursor, page, self._monotonic_s()))

    def _on_refusal(self, refusal: RestFailure) -> None:
        if self._market.on_failure(refusal.symbol):
            return
        if self._backfill.on_refusal(refusal, self._monotonic_s()):
            log.warning("%s; the others go on, this one is requested again", refusal.reason)

    def _on_rest_failure(self, failure: RestFailure, *, has_answered: bool = False) -> None:
        if failure.refused:
            self._on_refusal(failure)
            return
        # One warning for a row of failures: an exchange that is down fails once for each symbol.
        level = logging.WARNING if self._rest_responds else logging.DEBUG
        log.log(level, "%s", failure.reason)
        self._rest_responds = has_answered
        self._metrics.rest_failures.inc()
        if failure.priority is Priority.RECONCILIATION:
            self._finality.on_failure(failure.symbol, self._inbox.clock.read())
            return
        if not self._market.on_failure(failure.symbol):
            self._backfill.schedule.on_failure(
                failure.symbol, self._monotonic_s(), has_answered=has_answered
            )

    def _apply(self, transition: Transition) -> Sequence[LogEntry]:
        self._cursors[transition.cursor.symbol] = transition.cursor
        self._metrics.stale.inc(transition.stale)
        return transition.entries

    def _publish_all(self, entries: Sequence[LogEntry]) -> None:
        for first in range(0, len(entries), MAX_RECORDS_PER_TRANSACTION):
            try:
                if not self._publish(entries[first : first + MAX_RECORDS_PER_TRANSACTION]):
                    return
            except Refused as error:
                self._metrics.aborts.inc()
                if not self._refused.keep(entries[first:], error, self._monotonic_s()):
                    self._start_over(entries[first:])
                return
        if entries:
            self._refused.on_accepted()

    def _publish(self, entries: Sequence[LogEntry]) -> bool:
        """Append entries; return False, with the cursors read again, if the commit failed."""
        try:
            self._log.append(entries)
        except Refused:
            raise
        except (Aborted, OutcomeUnknown) as error:
            log.warning("%s; reading the position of each symbol from the log", error)
            self._metrics.aborts.inc()
            self._start_over(entries)
            return False
        self._statuses.on_committed(entries)
        reading = self._inbox.clock.read()
        self._metrics.count_published(entries, _wall_ms(), reading)
        self._finality.on_written(entries, reading)
        return True

    def _start_over(self, entries: Sequence[LogEntry]) -> None:
        """Go on from where the log is: entries are not in it, or nobody knows."""
        self._read_cursors()
        self._finality.forget(entries)
        self._read_tail()

    def _read_cursors(self) -> None:
        self._finality.forget(self._refused.take())  # they come again by REST
        self._cursors = dict(self._log.read_cursors(self._backfill.symbols))
        self._statuses.place(self._cursors.values())
        logged = (each.next_open_time_ms for each in self._cursors.values() if not each.is_new)
        self._logged_until_ms = max(logged, default=0)
        self._catch_up(self._cursors)

    def _read_tail(self) -> None:
        self._log.read_tail(self._logged_until_ms, self._finality.tails.append)

    def _catch_up(self, symbols: Iterable[str]) -> None:
        cursors = {each: self._cursors[each] for each in symbols if each in self._cursors}
        self._backfill.schedule.catch_up(cursors, self._inbox.clock.read().now_ms)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
