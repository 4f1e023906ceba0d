"""Decide on the entries of each event, and on the next requests. It does no I/O."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from services.producer.backfill.backfill import Backfill
from services.producer.backfill.checked_page import CheckedPage
from services.producer.backfill.dead_letter_limit import DeadLetterLimit
from services.producer.backfill.page_check import check_page
from services.producer.backfill.sequencer import (
    LogEntry,
    ReceivedCandle,
    SymbolCursor,
    Transition,
    UnreadableKline,
)
from services.producer.events import (
    MarketChanged,
    ProducerEvent,
    RestFailure,
    RestResponse,
    StreamConnected,
    SymbolsChanged,
    ThreadFailure,
)
from services.producer.finality.exchange_clock import ExchangeClock
from services.producer.market.price_book import PriceEvent
from services.producer.market.tracker import MarketTracker
from services.producer.metrics import ProducerMetrics
from services.producer.rest.requests import KlineRequest, Priority
from services.producer.symbols.statuses import StatusBook

log = logging.getLogger(__name__)


class FeedDecisions:
    """Keeps each symbol's cursor, and combines the decisions of the producer's rooms.

    Attributes:
        cursors: where each symbol is; ahead of the log until its entries are written.
        releases_more: more pages may be appended at once.
    """

    def __init__(
        self,
        clock: ExchangeClock,
        backfill: Backfill,
        market: MarketTracker,
        metrics: ProducerMetrics,
    ) -> None:
        """Start without cursors.

        Args:
            clock: the exchange's time and the process's.
            backfill: decides what to request, and what the pages prove.
            market: adds the market's move to the candles.
            metrics: counts what was dropped.
        """
        self._clock, self._monotonic_s = clock, clock.monotonic_s
        self._backfill, self._market, self._metrics = backfill, market, metrics
        self._finality, self._statuses = backfill.finality, StatusBook(backfill.interval_ms)
        self._dead_letters = DeadLetterLimit()
        self._rest_responds = True
        self.cursors: dict[str, SymbolCursor] = {}
        self.releases_more = False

    @property
    def halted(self) -> Collection[str]:
        """The symbols that are halted by the log."""
        return self._statuses.halted

    def follow(self, symbols: Collection[str]) -> None:
        """Add symbols, whose cursors have yet to be read."""
        self._backfill.follow(symbols)
        self._market.follow(symbols)

    def unfollow(self, symbol: str) -> None:
        """Append no more candles of a symbol; what is still on its way is dropped."""
        self.cursors.pop(symbol, None)
        self._backfill.unfollow(symbol)
        self._market.unfollow(symbol)

    def unplaced(self) -> Collection[str]:
        """Return the symbols followed whose place in the log is not known."""
        return self._backfill.symbols - self.cursors.keys()

    def place(self, cursors: Mapping[str, SymbolCursor]) -> None:
        """Take where symbols are in the log."""
        self.cursors |= cursors
        self._statuses.place(cursors.values())

    def forget_new(self) -> None:
        """Forget where symbols are that the log does not have."""
        self.cursors = {name: each for name, each in self.cursors.items() if not each.is_new}

    def start_over(self, cursors: Mapping[str, SymbolCursor]) -> None:
        """Take where all symbols are in the log, and forget what was decided since."""
        self.cursors.clear()
        self.place(cursors)
        self._catch_up(self.cursors)

    def decide(
        self, events: Iterable[ProducerEvent], heard: Iterable[PriceEvent]
    ) -> list[LogEntry]:
        """Return the entries to append for events; the cursors are ahead of the log then.

        Args:
            events: what the other threads report.
            heard: what the stream told of prices meanwhile.
        """
        # 1. Each event by itself, after the corrections of what was written before.
        entries: list[LogEntry] = [
            *self._finality.take_corrections(self._backfill.symbols, self._clock.read())
        ]
        entries += [entry for event in events for entry in self._on_event(event)]
        # 2. Take the prices only now: what was heard last belongs to these candles. Then some pages
        #    of REST need not wait any longer.
        self._market.listen(heard)
        entries += self._release_pages()
        # 3. Say what begins and ends; bound what could not be read; add the market's moves.
        return self._market.record(self._limit_dead_letters(self._with_statuses(entries)))

    def on_committed(self, entries: Sequence[LogEntry]) -> None:
        """Take the entries committed to the log."""
        self._statuses.on_committed(entries)
        self._finality.on_written(entries, self._clock.read())

    def take_ended(self) -> list[str]:
        """Return the symbols whose end is in the log, and stop following them."""
        ended = list(self._statuses.take_ended(self.cursors))
        for symbol in ended:
            self.unfollow(symbol)
        return ended

    def take_requests(self, logged_until_ms: int) -> list[KlineRequest]:
        """Return the requests to send now, the most urgent first.

        Args:
            logged_until_ms: the log has candles up to here, of one symbol at least.
        """
        now_s, reading = self._monotonic_s(), self._clock.read()
        for symbol in self._backfill.schedule.take_lost(self._market.held_symbols, now_s):
            self._on_rest_failure(RestFailure(symbol, f"klines of {symbol}: no answer came"))
        due = self._backfill.take_due(self.cursors, reading.now_ms, now_s)
        requests = [
            replace(each, logged_until_ms=logged_until_ms)
            if not self._market.has_learnt(each.from_ms)
            else each
            for each in due
        ]
        requests += [
            KlineRequest(symbol, from_ms, priority=Priority.PRICES)
            for symbol, from_ms in self._market.take_due(now_s)
        ]
        compared = self._finality.take_due(reading, now_s)
        return requests if compared is None else [*requests, compared]

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
                self._market.on_connected(event.symbols, self._clock.read().now_ms)
            case ThreadFailure():
                raise event.error
        return ()

    def _on_change(self, change: MarketChanged | SymbolsChanged) -> None:
        if isinstance(change, MarketChanged):
            self._market.change(change)
            return
        self.follow(change.joining)
        self._statuses.observe(change, self._clock.read().now_ms)
        traded = (each.symbol for each in change.observed if each.status == "resumed")
        self._backfill.schedule.on_traded(traded)

    def _is_followed(self, symbol: str) -> bool:
        """Return whether a symbol's candles are written; one that is not readable may be."""
        return not symbol or symbol in self.cursors

    def _on_stream_kline(self, kline: ReceivedCandle) -> Sequence[LogEntry]:
        cursor = self.cursors.get(kline.symbol)
        if cursor is None:  # followed for its price alone
            return ()
        corrections = self._finality.on_stream_kline(cursor, kline)
        return [*corrections, *self._apply(self._backfill.on_stream_kline(cursor, kline))]

    def _on_rest_response(self, response: RestResponse) -> Sequence[LogEntry]:
        self._rest_responds = True
        self._backfill.schedule.on_answer()
        cursor, now_s = self.cursors.get(response.symbol), self._monotonic_s()
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
        cursor = self.cursors.get(page.symbol)
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
            self._finality.on_failure(failure.symbol, self._clock.read())
            return
        if not self._market.on_failure(failure.symbol):
            self._backfill.schedule.on_failure(
                failure.symbol, self._monotonic_s(), has_answered=has_answered
            )

    def _apply(self, transition: Transition) -> Sequence[LogEntry]:
        self.cursors[transition.cursor.symbol] = transition.cursor
        self._metrics.stale.inc(transition.stale)
        return transition.entries

    def _with_statuses(self, entries: Sequence[LogEntry]) -> list[LogEntry]:
        now_ms = self._clock.read().now_ms
        due = self._statuses.take_due(self.cursors, now_ms, self._monotonic_s())
        return [*self._statuses.announce(entries), *due]

    def _release_pages(self) -> Iterable[LogEntry]:
        self.releases_more = False
        if not self._market.held_symbols:
            return ()
        awaited_ms = self._backfill.schedule.awaited_from_ms(
            self.cursors, self._market.held_symbols
        )
        released = self._market.release(awaited_ms, self._monotonic_s())
        self.releases_more = bool(released and self._market.held_symbols)
        return [entry for page in released for entry in self._append_page(page)]

    def _limit_dead_letters(self, entries: Sequence[LogEntry]) -> Sequence[LogEntry]:
        now_s = self._monotonic_s()
        kept = self._dead_letters.keep(entries, now_s)
        self._metrics.suppressed.inc(len(entries) - len(kept))
        if message := self._dead_letters.report(now_s):
            log.warning("%s", message)
        return kept

    def _catch_up(self, symbols: Iterable[str]) -> None:
        cursors = {each: self.cursors[each] for each in symbols if each in self.cursors}
        self._backfill.schedule.catch_up(cursors, self._clock.read().now_ms)
