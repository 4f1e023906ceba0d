"""Decide when a candle that REST denies is certainly missing. PURE: the clock is an argument.

An exchange often repairs what it lacks or garbles within seconds, and minutes after an outage. So a
gap is written only after a candle was denied several times, over a time longer than such repairs
take; much longer where many symbols lack the same candle, which is what an outage looks like. All
holes of a symbol wait side by side, and what other candles do meanwhile does not matter to them.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Final

MIN_DENIALS: Final = 3
MIN_LACKING_SYMBOLS: Final = 3  # of an outage; also half of the symbols followed
RECOUNT_S, MAX_COUNTED = 1.0, 10_000  # every symbol is looked at: not for each of their pages
KEPT_S: Final = 3_600.0  # a denial that is older is forgotten
# Of the time a gap needs: the first and the longest wait between two requests of a symbol.
FIRST_WAIT_SHARE, LONGEST_WAIT_SHARE = 1 / 40, 1 / 4
MAX_REQUESTS_PER_S: Final = 20.0  # for all symbols in doubt: 40 % of Binance's weight limit
CROWD_S: Final = 300.0  # a symbol that was denied a candle within it is one of them
# Of a gap's time: after it the history of a new symbol begins late, if nothing at all is known to
# lie before. Most often it is just young.
BEGINNING_SHARE: Final = 1 / 6

Span = tuple[int, int]  # first open time, open time after the last


@dataclass(frozen=True, slots=True)
class GapLimits:
    """How long in seconds candles are denied before there is a gap: of one symbol, of most."""

    gap_after_s: float
    outage_gap_after_s: float


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Denials of the candles that open from one time up to another, by the monotonic clock."""

    from_ms: int
    until_ms: int
    first_s: float
    last_s: float
    denials: int = 1

    def clip(self, from_ms: int, until_ms: int) -> "_Doubt | None":
        """Return the part between two open times; None if there is none."""
        first_ms, end_ms = max(self.from_ms, from_ms), min(self.until_ms, until_ms)
        if first_ms >= end_ms:
            return None
        return _Doubt(first_ms, end_ms, self.first_s, self.last_s, self.denials)


class DoubtfulCandles:
    """The candles of each symbol that REST denied lately. Times in seconds are monotonic."""

    def __init__(self, followed: Collection[str], limits: GapLimits) -> None:
        """Start without a doubt.

        Args:
            followed: the symbols followed, also as they change.
            limits: how long a candle must be denied.
        """
        self._followed, self._limits = followed, limits
        self._doubts: dict[str, tuple[_Doubt, ...]] = {}
        self._outages: dict[int, tuple[float, bool]] = {}  # when counted, and whether it is one

    def record(self, symbol: str, spoken_of: Span, denied: Iterable[Span], now_s: float) -> None:
        """Record which candles a page denies.

        Args:
            symbol: the symbol.
            spoken_of: the span that the page speaks of: what it has ends a doubt.
            denied: the parts in which it has no candle, ascending.
            now_s: the time now.
        """
        known = [each for each in self._doubts.get(symbol, ()) if now_s - each.last_s < KEPT_S]
        first_ms, end_ms = spoken_of
        before = [part for each in known if (part := each.clip(0, first_ms))]
        after = [part for each in known if (part := each.clip(end_ms, each.until_ms))]
        again = [part for span in denied for part in _denied_again(known, span, now_s)]
        if doubts := (*before, *again, *after):
            self._doubts[symbol] = doubts
        else:
            self._doubts.pop(symbol, None)

    def forget(self, symbol: str) -> None:
        """Forget a symbol that is not followed any longer."""
        self._doubts.pop(symbol, None)

    def certain_until_ms(
        self, symbol: str, from_ms: int, until_ms: int, *, is_beginning: bool = False
    ) -> int:
        """Return up to where every candle from an open time on is missing, `until_ms` at most.

        Args:
            symbol: the symbol.
            from_ms: the open time.
            until_ms: the end of the span in question.
            is_beginning: the log has no candle before them.
        """
        next_ms = from_ms
        for doubt in self._doubts.get(symbol, ()):
            is_next = doubt.from_ms <= next_ms < doubt.until_ms
            if is_next and self._is_over(doubt, is_beginning):
                next_ms = doubt.until_ms
        return min(next_ms, until_ms)

    def end_ms(self, symbol: str, open_ms: int) -> int | None:
        """Return where the doubts about a candle and those after it end; None without one."""
        next_ms = open_ms
        for doubt in self._doubts.get(symbol, ()):
            if doubt.from_ms <= next_ms < doubt.until_ms:
                next_ms = doubt.until_ms
        return next_ms if next_ms > open_ms else None

    def wait_s(
        self, symbol: str, open_ms: int, now_s: float, *, is_beginning: bool = False
    ) -> float | None:
        """Return the seconds until a candle is requested again; None if it is not in doubt."""
        doubt = self._find(symbol, open_ms)
        if doubt is None:
            return None
        first_s = self._limits.gap_after_s * FIRST_WAIT_SHARE
        longest_s = self._limits.gap_after_s * LONGEST_WAIT_SHARE
        wait_s = min(longest_s, first_s * 2.0 ** min(doubt.denials - 1, 16))
        # The request that makes it certain comes in time, if no earlier one has ended the doubt.
        left_s = doubt.first_s + self._limit_s(doubt, is_beginning) - now_s
        wait_s = min(wait_s, max(left_s, first_s))
        crowd = sum(now_s - doubts[-1].last_s < CROWD_S for doubts in self._doubts.values())
        return max(wait_s, crowd / MAX_REQUESTS_PER_S)

    def _is_over(self, doubt: _Doubt, is_beginning: bool) -> bool:
        lasted_s = doubt.last_s - doubt.first_s
        return doubt.denials >= MIN_DENIALS and lasted_s >= self._limit_s(doubt, is_beginning)

    def _limit_s(self, doubt: _Doubt, is_beginning: bool) -> float:
        if is_beginning:
            return self._limits.gap_after_s * BEGINNING_SHARE
        if doubt.last_s - doubt.first_s < self._limits.gap_after_s:
            return self._limits.gap_after_s  # that of an outage matters only later
        ends_ms = (doubt.from_ms, doubt.until_ms - 1)
        is_outage = any(self._is_outage(each, doubt.last_s) for each in ends_ms)
        return self._limits.outage_gap_after_s if is_outage else self._limits.gap_after_s

    def _is_outage(self, open_ms: int, now_s: float) -> bool:
        counted_s, is_outage = self._outages.get(open_ms, (-inf, False))
        if now_s - counted_s < RECOUNT_S:
            return is_outage
        if len(self._outages) >= MAX_COUNTED:
            self._outages.clear()
        is_outage = self._lack_most(open_ms)
        self._outages[open_ms] = (now_s, is_outage)
        return is_outage

    def _lack_most(self, open_ms: int) -> bool:
        lacking = sum(self._find(symbol, open_ms) is not None for symbol in self._doubts)
        return lacking >= MIN_LACKING_SYMBOLS and 2 * lacking >= len(self._followed)

    def _find(self, symbol: str, open_ms: int) -> _Doubt | None:
        doubts = self._doubts.get(symbol, ())
        return next((each for each in doubts if each.from_ms <= open_ms < each.until_ms), None)


def _denied_again(known: Iterable[_Doubt], span: Span, now_s: float) -> list[_Doubt]:
    """Return the doubts about a span that is denied now: each part keeps its own count."""
    parts = [part for each in known if (part := each.clip(*span))]
    edges_ms = {*span, *(ms for part in parts for ms in (part.from_ms, part.until_ms))}
    doubts = {(part.from_ms, part.until_ms): part for part in parts}
    again = []
    for edges in pairwise(sorted(edges_ms)):
        before = doubts.get(edges)
        first_s, denials = (now_s, 0) if before is None else (before.first_s, before.denials)
        again.append(_Doubt(*edges, first_s, now_s, denials + 1))
    return again
