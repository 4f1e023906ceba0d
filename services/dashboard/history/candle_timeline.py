"""A symbol's candles, gaps and statuses as the log has corrected them. PURE."""

from bisect import bisect_left
from collections.abc import Iterator
from sys import maxsize
from typing import NamedTuple

from services.dashboard.history.time_range import TimeRange
from shared.core.records import Amendment, Candle, Fill, Gap, Promotion, Record, SymbolStatus


class Bar(NamedTuple):
    """A candle's prices, and whether the log gave or changed them later."""

    open: float
    high: float
    low: float
    close: float
    is_corrected: bool


class CandleTimeline:
    """The candles of one symbol by open time; records are added in the order of the log.

    It accepts what the archive accepts: a candle that is newer than those before it, a fill of one
    that is missing, an amendment of one that is there. Whatever was added already changes nothing.
    """

    def __init__(self, interval_ms: int) -> None:
        """Begin empty; `interval_ms` lies between two open times."""
        self._interval_ms = interval_ms
        self._gaps: dict[int, int] = {}  # by start: the end
        self._statuses: dict[tuple[int, str], SymbolStatus] = {}
        self._newest_ms = -1
        self.bars: dict[int, Bar] = {}
        # From here on no candle is missing that the log has: its records came in order.
        self.complete_from_ms = maxsize

    def add(self, record: Record) -> int | None:
        """Add a record of the symbol; return the time it changes, None if it changes nothing."""
        match record:
            case Candle():
                return self._append(record)
            case Gap():
                return self._add_gap(record)
            case Amendment() if record.candle.open_time_ms in self.bars:
                return self._set(record.candle)
            case Fill() if record.candle.open_time_ms not in self.bars:
                return self._set(record.candle)
            case SymbolStatus():
                return self._add_status(record)
            case Amendment() | Fill() | Promotion():
                return None

    def times(self, span: TimeRange) -> list[int]:
        """Return the open times of the candles in a range, oldest first."""
        return sorted(time_ms for time_ms in self.bars if time_ms in span)

    def gaps(self, span: TimeRange) -> list[tuple[int, int]]:
        """Return the gaps [from, until) that begin in a range, without what was filled."""
        times = sorted(self.bars)
        parts = (part for gap in sorted(self._gaps.items()) for part in self._open(*gap, times))
        return [(from_ms, until_ms) for from_ms, until_ms in parts if from_ms in span]

    def statuses(self, span: TimeRange) -> list[SymbolStatus]:
        """Return the statuses in a range, oldest first."""
        found = (status for (time_ms, _), status in self._statuses.items() if time_ms in span)
        return sorted(found, key=lambda each: each.time_ms)

    def forget_before(self, time_ms: int) -> None:
        """Drop what is older than a time."""
        self.bars = {at: bar for at, bar in self.bars.items() if at >= time_ms}
        self._gaps = {at: until_ms for at, until_ms in self._gaps.items() if until_ms > time_ms}
        self._statuses = {at: one for at, one in self._statuses.items() if at[0] >= time_ms}
        self.complete_from_ms = max(self.complete_from_ms, time_ms)

    def _append(self, candle: Candle) -> int | None:
        if candle.open_time_ms <= self._newest_ms:
            return None
        self._newest_ms = candle.open_time_ms
        self.complete_from_ms = min(self.complete_from_ms, candle.open_time_ms)
        self.bars[candle.open_time_ms] = _to_bar(candle, is_corrected=False)
        return candle.open_time_ms

    def _add_gap(self, gap: Gap) -> int | None:
        from_ms, until_ms = gap.from_open_time_ms, gap.until_open_time_ms
        if self._gaps.get(from_ms, 0) >= until_ms:
            return None
        self._gaps[from_ms] = until_ms
        self.complete_from_ms = min(self.complete_from_ms, from_ms)
        return from_ms

    def _set(self, candle: Candle) -> int | None:
        time_ms, bar = candle.open_time_ms, _to_bar(candle, is_corrected=True)
        if self.bars.get(time_ms) == bar:
            return None
        self.bars[time_ms] = bar
        return time_ms

    def _add_status(self, status: SymbolStatus) -> int | None:
        place = status.time_ms, status.status
        if place in self._statuses:
            return None
        self._statuses[place] = status
        if status.resets_symbol:
            self._newest_ms = status.time_ms - 1
        return status.time_ms

    def _open(self, from_ms: int, until_ms: int, times: list[int]) -> Iterator[tuple[int, int]]:
        """Yield the parts of a gap that no candle fills."""
        for at in times[bisect_left(times, from_ms) : bisect_left(times, until_ms)]:
            if from_ms < at:
                yield from_ms, at
            from_ms = at + self._interval_ms
        if from_ms < until_ms:
            yield from_ms, until_ms


def _to_bar(candle: Candle, *, is_corrected: bool) -> Bar:
    return Bar(candle.open, candle.high, candle.low, candle.close, is_corrected)
