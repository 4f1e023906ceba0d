"""How counted things have grown in the last minutes. PURE; the clock is an argument."""

from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from typing import Final, NamedTuple

WINDOW_MS: Final = 600_000


class Series(NamedTuple):
    """What is counted or measured, and where: a service's address, a symbol group."""

    name: str
    place: str = ""


class Trends:
    """The values of counters and levels over the last ten minutes."""

    def __init__(self, window_ms: int = WINDOW_MS) -> None:
        """Begin without values."""
        self._window_ms = window_ms
        self._values: dict[Series, deque[tuple[int, float]]] = {}

    def add(self, now_ms: int, values: Mapping[Series, float | None]) -> None:
        """Add what is known now; one that is not known any more is forgotten."""
        known = {series: value for series, value in values.items() if value is not None}
        self._values = {series: self._values.get(series, deque()) for series in known}
        for series, value in known.items():
            points = self._values[series]
            points.append((now_ms, value))
            while points[0][0] < now_ms - self._window_ms:
                points.popleft()

    def has(self, name: str) -> bool:
        """Return whether something of a name is known."""
        return any(series.name == name for series in self._values)

    def growth(self, name: str) -> float:
        """Return how much the counters of a name have counted at all places together."""
        return sum(
            _growth([value for _, value in points])
            for series, points in self._values.items()
            if series.name == name
        )

    def lowest_since(self, series: Series, span_ms: int) -> float | None:
        """Return the lowest level of the last so many ms; None if it is not known for so long."""
        points = self._values.get(series)
        if not points or points[-1][0] - points[0][0] < span_ms:
            return None
        since_ms = points[-1][0] - span_ms
        return min(value for time_ms, value in points if time_ms >= since_ms)

    def change_since(self, series: Series, span_ms: int) -> float | None:
        """Return how a level has changed in the last so many ms; None as above."""
        points = self._values.get(series)
        if not points or points[-1][0] - points[0][0] < span_ms:
            return None
        since_ms = points[-1][0] - span_ms
        before = [value for time_ms, value in points if time_ms <= since_ms]
        return points[-1][1] - before[-1]


def _growth(values: list[float]) -> float:
    """Return how much a counter has counted; one that begins anew counts from zero."""
    return sum(after - before if after >= before else after for before, after in pairwise(values))
