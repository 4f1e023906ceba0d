"""Decide on requests to REST and weigh its pages. PURE: the clocks are arguments."""

from collections.abc import Container, Iterable, KeysView, Mapping
from typing import Final

from services.producer.backfill.backfill_schedule import BackfillSchedule
from services.producer.backfill.checked_page import (
    CheckedPage,
    has_rows_before_candles,
    missing_spans,
)
from services.producer.backfill.doubtful_candles import DoubtfulCandles, GapLimits
from services.producer.backfill.page_sequencer import on_rest_page
from services.producer.backfill.sequencer import (
    ReceivedCandle,
    SymbolCursor,
    Transition,
    on_stream_kline,
)
from services.producer.events import RestFailure
from services.producer.finality.finality import Finality
from services.producer.rest.requests import KlineRequest, Priority
from services.producer.symbols.symbol_standing import SymbolFacts

LIVE_CANDLES: Final = 36  # a symbol that lacks more of them is back-filled
LOOKBACK_CANDLES: Final = 100  # before the first one wanted of a symbol that seems to begin late


class Backfill:
    """The requests of all symbols, and the doubts about what the exchange denies."""

    def __init__(
        self, schedule: BackfillSchedule, limits: GapLimits, finality: Finality | None = None
    ) -> None:
        """Start with nothing denied.

        Args:
            schedule: decides when to request a symbol.
            limits: how long a candle must be denied before there is a gap.
            finality: decides which rows are final.
        """
        self.schedule = schedule
        self._doubts = DoubtfulCandles(schedule.symbols, limits)
        self._with_history = set[str]()  # new symbols that had candles before those wanted
        self._refusals: dict[str, str] = {}  # the last reason; the schedule knows if it still holds
        self.interval_ms = schedule.interval_ms
        self.finality = finality or Finality(schedule.interval_ms)

    @property
    def symbols(self) -> KeysView[str]:
        """The symbols followed."""
        return self.schedule.symbols

    def follow(self, symbols: Iterable[str]) -> None:
        """Add symbols, to be requested at once."""
        self.schedule.follow(symbols)

    def unfollow(self, symbol: str) -> None:
        """Request a symbol no more."""
        self.schedule.unfollow(symbol)
        self._doubts.forget(symbol)
        self._with_history.discard(symbol)
        self.finality.unfollow(symbol)
        self._refusals.pop(symbol, None)

    def take_due(
        self, cursors: Mapping[str, SymbolCursor], server_ms: int, now_s: float
    ) -> list[KlineRequest]:
        """Return the requests to send now, and mark them as in flight."""
        due = self.schedule.take_due(cursors, server_ms, now_s)
        return [self._request(cursor, server_ms) for cursor in due]

    def weigh(
        self, cursor: SymbolCursor, page: CheckedPage, now_s: float
    ) -> CheckedPage | RestFailure:
        """Count the candles that a page denies; return the part that can be appended.

        Args:
            cursor: where the symbol is now.
            page: what REST said.
            now_s: when it said it.

        Returns:
            The page up to the first candle that is in doubt, or why the page proves nothing.
        """
        # 1. The candle that the log has must be on it, unless the exchange has surely lost it.
        if not (page.has_anchor or cursor.is_new or self._is_anchor_lost(page, now_s)):
            return RestFailure(
                page.symbol,
                f"klines of {page.symbol}: the candle before {page.from_ms} ms is missing, so later"
                " ones may be as well; asking again",
            )
        if page.from_ms > cursor.next_open_time_ms:  # requested before the log was read again
            return page.cut(page.from_ms)
        # 2. All its holes are in doubt from now on, or still.
        next_ms = cursor.next_open_time_ms
        missing = missing_spans(cursor, page, self.interval_ms)
        self._doubts.record(page.symbol, (next_ms, max(next_ms, page.until_ms)), missing, now_s)
        if cursor.is_new and has_rows_before_candles(page, next_ms):
            self._with_history.add(page.symbol)
        # 3. What comes after one that is not certain yet has to wait for it.
        return page.cut(self._sequence(cursor, page).cursor.next_open_time_ms).since(next_ms)

    def on_stream_kline(self, cursor: SymbolCursor, kline: ReceivedCandle) -> Transition:
        """Decide what to append for a closed kline of the stream, and whether to request more."""
        transition = on_stream_kline(cursor, kline, self.interval_ms)
        after = transition.cursor
        if after.next_open_time_ms > cursor.next_open_time_ms:
            self.schedule.on_advance(cursor.symbol)
        if after.early:
            self.schedule.expedite(cursor.symbol)
        return transition

    def on_refusal(self, refusal: RestFailure, now_s: float) -> bool:
        """Record that the exchange refuses a symbol; return whether that is new."""
        self._refusals[refusal.symbol] = refusal.reason
        return self.schedule.on_refusal(refusal.symbol, now_s)

    def collect_facts(
        self, cursors: Mapping[str, SymbolCursor], server_ms: int, halted: Container[str]
    ) -> list[SymbolFacts]:
        """Return the facts about each symbol.

        Args:
            cursors: where each symbol is.
            server_ms: the exchange's time.
            halted: the symbols that are halted by the log.
        """
        behind = frozenset(self.schedule.symbols_behind(cursors, server_ms))
        pending = frozenset(self.schedule.pending_backfills())
        refused = frozenset(self.schedule.refused_symbols())
        return [
            SymbolFacts(
                symbol,
                cursor.next_open_time_ms,
                symbol in behind,
                symbol not in pending,
                self._doubts.end_ms(symbol, cursor.next_open_time_ms) is not None,
                symbol in halted,
                self._refusals.get(symbol, "refused") if symbol in refused else "",
            )
            for symbol, cursor in cursors.items()
        ]

    def append(self, cursor: SymbolCursor, page: CheckedPage, now_s: float) -> Transition:
        """Decide what to append for a page, and when to request the symbol again."""
        transition = self._sequence(cursor, page)
        after = transition.cursor
        is_outdated = page.from_ms > cursor.next_open_time_ms
        self.schedule.on_response(
            page.symbol,
            now_s,
            advanced=is_outdated or after.next_open_time_ms > cursor.next_open_time_ms,
            has_more=is_outdated or page.has_more or bool(after.early),
            doubt_wait_s=self._doubts.wait_s(
                page.symbol,
                after.next_open_time_ms,
                now_s,
                is_beginning=self._may_begin_late(after),
            ),
        )
        return transition

    def _sequence(self, cursor: SymbolCursor, page: CheckedPage) -> Transition:
        return on_rest_page(cursor, page, self.interval_ms, self._certain_until_ms)

    def _certain_until_ms(self, cursor: SymbolCursor, until_ms: int) -> int:
        return self._doubts.certain_until_ms(
            cursor.symbol,
            cursor.next_open_time_ms,
            until_ms,
            is_beginning=self._may_begin_late(cursor),
        )

    def _may_begin_late(self, cursor: SymbolCursor) -> bool:
        return cursor.is_new and cursor.symbol not in self._with_history

    def _is_anchor_lost(self, page: CheckedPage, now_s: float) -> bool:
        anchor = (page.from_ms - self.interval_ms, page.from_ms)
        self._doubts.record(page.symbol, anchor, [anchor], now_s)
        return self._doubts.certain_until_ms(page.symbol, *anchor) == page.from_ms

    def _request(self, cursor: SymbolCursor, server_ms: int) -> KlineRequest:
        from_ms = cursor.next_open_time_ms
        is_live = server_ms - from_ms <= LIVE_CANDLES * self.interval_ms
        priority = Priority.LIVE if is_live else Priority.BACKFILL
        until_ms = self._doubts.end_ms(cursor.symbol, from_ms)
        if until_ms is None or not self._may_begin_late(cursor):
            return KlineRequest(cursor.symbol, from_ms, priority=priority)
        # Where the history of a new symbol seems to begin late, what lies before is requested
        # by itself: a service that errs about the beginning gives itself away.
        from_ms = max(0, from_ms - LOOKBACK_CANDLES * self.interval_ms)
        return KlineRequest(cursor.symbol, from_ms, until_ms=until_ms, priority=priority)
