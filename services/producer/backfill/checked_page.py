"""A page of klines that does not contradict itself, and which candles it denies. PURE."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Self

from services.producer.backfill.sequencer import ReceivedCandle, SymbolCursor, UnreadableKline
from services.producer.finality.clock_estimate import UNKNOWN_TIME, ClockReading
from shared.core.records import MarketMove


@dataclass(frozen=True, slots=True)
class CheckedPage:
    """A REST response that does not contradict itself.

    Attributes:
        symbol: the symbol.
        from_ms: the open time requested.
        until_ms: a candle that opens from `from_ms` up to here, and is not among the candles, is
            denied.
        candles: ascending, from `from_ms` on.
        unreadable: the other rows, by open time, ascending: those that cannot be read, and those
            off the interval's grid, also where they open shortly before `from_ms`.
        before: the candle before the requested one, if the exchange has it.
        has_anchor: the page begins with a row before the requested ones, so it left out none.
        has_more: the exchange has more rows, to be requested at once.
        complete_until_ms: every final candle that opens before is among the candles.
        logged_moves: the market's moves that the log has of these candles and of later ones, by
            open time.
        asked: the exchange's time right before the request was sent.
    """

    symbol: str
    from_ms: int
    until_ms: int
    candles: tuple[ReceivedCandle, ...] = ()
    unreadable: Mapping[int, UnreadableKline] = field(default_factory=dict)
    before: ReceivedCandle | None = None
    has_anchor: bool = True
    has_more: bool = False
    complete_until_ms: int = 0
    logged_moves: Mapping[int, MarketMove] = field(default_factory=dict)
    asked: ClockReading = field(default=UNKNOWN_TIME, compare=False)

    @property
    def span_ms(self) -> tuple[int, int]:
        """The first and the last open time of the candles, which must not be none."""
        return self.candles[0].open_time_ms, self.candles[-1].open_time_ms

    def cut(self, until_ms: int) -> Self:
        """Return the page as if it ended before an open time: it denies nothing from there on."""
        if until_ms >= self.until_ms:
            return self
        return replace(
            self,
            until_ms=until_ms,
            candles=tuple(each for each in self.candles if each.open_time_ms < until_ms),
            unreadable={ms: row for ms, row in self.unreadable.items() if ms < until_ms},
            has_more=False,
            complete_until_ms=min(self.complete_until_ms, until_ms),
        )

    def since(self, open_ms: int) -> Self:
        """Return the page without candles if all of them open before a time."""
        has_later = any(each.open_time_ms >= open_ms for each in self.candles)
        return self if has_later else replace(self, candles=())


def has_rows_before_candles(page: CheckedPage, open_ms: int) -> bool:
    """Return whether a page has rows before its first candle that opens at a time or later."""
    first_ms = min(
        (ms for each in page.candles if (ms := each.open_time_ms) >= open_ms), default=inf
    )
    earliest_ms = min(
        (*page.unreadable, *(each.open_time_ms for each in page.candles)), default=inf
    )
    return page.before is not None or earliest_ms < first_ms


def merge_early(page: CheckedPage, early: Iterable[ReceivedCandle]) -> list[ReceivedCandle]:
    """Return the candles of a page, ascending, with those of the stream that it lacks."""
    candles = {each.open_time_ms: each for each in early if each.open_time_ms < page.until_ms}
    candles |= {each.open_time_ms: each for each in page.candles}
    return [candles[open_ms] for open_ms in sorted(candles)]


def missing_spans(
    cursor: SymbolCursor, page: CheckedPage, interval_ms: int
) -> list[tuple[int, int]]:
    """Return the spans from the cursor on in which a page has no candle, nor the stream gave one.

    A span is (first open time, open time after the last).
    """
    spans, next_ms = list[tuple[int, int]](), cursor.next_open_time_ms
    for candle in merge_early(page, cursor.early):
        if candle.open_time_ms > next_ms:
            spans.append((next_ms, candle.open_time_ms))
        next_ms = max(next_ms, candle.open_time_ms + interval_ms)
    if next_ms < page.until_ms:
        spans.append((next_ms, page.until_ms))
    return spans
