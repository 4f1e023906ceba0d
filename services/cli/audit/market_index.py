"""An index from open times to offsets of a partition, so that a span is read alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.core.errors import BadInput
from shared.core.records import Amendment, Candle, Fill, Record

_STRETCH: Final = 4_096  # offsets


@dataclass(slots=True)
class _Stretch:
    """The least and the greatest open time of the candles between two offsets."""

    number: int
    first_ms: int
    last_ms: int


@dataclass(slots=True)
class MarketIndex:
    """The open times of a partition's candles, a stretch of offsets after the other."""

    symbols: set[str] = field(default_factory=set)
    first_ms: int | None = None
    last_ms: int | None = None
    _stretches: list[_Stretch] = field(default_factory=list)

    def add(self, offset: int, value: Record | BadInput) -> None:
        """Add a record; those without candles do not matter."""
        if isinstance(value, Amendment | Fill):
            value = value.candle
        if not isinstance(value, Candle):
            return
        self.symbols.add(value.symbol)
        number, time_ms = offset // _STRETCH, value.open_time_ms
        if not self._stretches or self._stretches[-1].number != number:
            self._stretches.append(_Stretch(number, time_ms, time_ms))
        stretch = self._stretches[-1]
        stretch.first_ms = min(stretch.first_ms, time_ms)
        stretch.last_ms = max(stretch.last_ms, time_ms)
        self.first_ms = min(time_ms, time_ms if self.first_ms is None else self.first_ms)
        self.last_ms = max(time_ms, time_ms if self.last_ms is None else self.last_ms)

    def offsets(self, times_ms: range) -> Iterator[range]:
        """Yield the ranges of offsets, in order, that hold all candles of a span of open times."""
        found: range | None = None
        for stretch in self._stretches:
            if stretch.last_ms < times_ms.start or stretch.first_ms >= times_ms.stop:
                continue
            start, stop = stretch.number * _STRETCH, (stretch.number + 1) * _STRETCH
            if found is not None and found.stop == start:
                found = range(found.start, stop)
                continue
            if found is not None:
                yield found
            found = range(start, stop)
        if found is not None:
            yield found
