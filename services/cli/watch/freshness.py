"""How long nothing has come, and whether that is too long."""

from collections import deque
from itertools import pairwise
from statistics import median
from typing import Final

_KEPT: Final = 9  # closes of candles whose distance counts
_PATIENCE: Final = 3.0  # times the usual distance
_LEAST_MS: Final = 5_000.0


class Freshness:
    """Measures the distance between two closes by a wall clock, however fast the candles' runs."""

    def __init__(self, interval_ms: int) -> None:
        """Begin without a candle; `interval_ms` lies between two open times."""
        self._interval_ms = interval_ms
        self._newest_open_ms = -1
        self._arrivals_ms: deque[float] = deque(maxlen=_KEPT)  # of the first candle of each close

    def add(self, open_time_ms: int, arrived_ms: float) -> None:
        """Note that a candle arrived."""
        if open_time_ms > self._newest_open_ms:
            self._newest_open_ms = open_time_ms
            self._arrivals_ms.append(arrived_ms)

    def silence_ms(self, now_ms: float) -> float | None:
        """Return how long no newer candle has come; None before the first."""
        return max(0.0, now_ms - self._arrivals_ms[-1]) if self._arrivals_ms else None

    @property
    def stale_after_ms(self) -> float:
        """The silence that is too long: three usual distances, or two intervals if none is known.

        A simulated clock may run fast, so the usual distance is the median of the last ones.
        """
        times = list(self._arrivals_ms)
        distances = [b - a for a, b in pairwise(times)]
        if len(distances) < 2:
            return 2.0 * self._interval_ms
        return max(_LEAST_MS, _PATIENCE * median(distances))

    def is_stale(self, now_ms: float) -> bool:
        """Say whether candles should have come by now."""
        silence_ms = self.silence_ms(now_ms)
        return silence_ms is not None and silence_ms > self.stale_after_ms
