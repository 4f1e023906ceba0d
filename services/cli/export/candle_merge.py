"""Candles as the log corrects them, in their symbols' order, with few of them in memory."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from shared.core.records import Amendment, Candle, Correction


class MergedCandle(NamedTuple):
    """A candle with its last values."""

    candle: Candle
    is_amended: bool = False  # the log had other values first
    is_filled: bool = False  # the log had a gap there first


@dataclass(slots=True)
class LogCorrections:
    """The corrections of a log, by symbol and open time."""

    # With their offsets; the newest one counts, and only for a candle that lies before it.
    amendments: dict[tuple[str, int], tuple[int, Candle]] = field(default_factory=dict)
    # The first one counts: a second candle of a time is none.
    fills: defaultdict[str, dict[int, tuple[int, Candle]]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def add(self, offset: int, correction: Correction) -> None:
        """Add a correction in the order of the log."""
        candle = correction.candle
        if isinstance(correction, Amendment):
            self.amendments[candle.symbol, candle.open_time_ms] = offset, candle
        else:
            self.fills[candle.symbol].setdefault(candle.open_time_ms, (offset, candle))


class CandleMerge:
    """Applies corrections to the candles of a log, as they are read a second time."""

    def __init__(self, corrections: LogCorrections) -> None:
        """Take all corrections of the log."""
        self._amendments = corrections.amendments
        # By symbol, the oldest last: it is taken off the end.
        self._fills = {
            symbol: [fills[open_time_ms] for open_time_ms in sorted(fills, reverse=True)]
            for symbol, fills in corrections.fills.items()
        }
        self._last_ms: dict[str, int] = {}
        self.out_of_order = 0  # candles that are no newer than one before

    def add(self, offset: int, candle: Candle) -> Iterator[MergedCandle]:
        """Yield the fills before a candle of the log, then the candle."""
        if candle.open_time_ms <= self._last_ms.get(candle.symbol, -1):
            self.out_of_order += 1
            return
        self._last_ms[candle.symbol] = candle.open_time_ms
        yield from self._take_fills(candle.symbol, candle.open_time_ms)
        yield self._amend(offset, MergedCandle(candle))

    def flush(self) -> Iterator[MergedCandle]:
        """Yield the fills after the last candle of each symbol."""
        for symbol in sorted(self._fills):
            yield from self._take_fills(symbol, None)

    def _take_fills(self, symbol: str, until_ms: int | None) -> Iterator[MergedCandle]:
        """Yield the fills before a time, and drop one of that time: the log has its candle."""
        fills = self._fills.get(symbol, [])
        while fills and (until_ms is None or fills[-1][1].open_time_ms <= until_ms):
            offset, candle = fills.pop()
            if candle.open_time_ms != until_ms:
                yield self._amend(offset, MergedCandle(candle, is_filled=True))

    def _amend(self, offset: int, found: MergedCandle) -> MergedCandle:
        candle = found.candle
        amended = self._amendments.get((candle.symbol, candle.open_time_ms))
        if amended is None or amended[0] < offset:
            return found
        # An amendment says nothing about the market's move: that of the candle stays.
        values = replace(amended[1], market=candle.market)
        return found._replace(candle=values, is_amended=True)
