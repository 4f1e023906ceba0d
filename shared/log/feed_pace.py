"""The pace of closes by the clock on the wall, and when their absence means a silent feed."""

from collections import deque
from statistics import median
from typing import Final

_PACES: Final = 9  # the newest: their median overlooks a pause and a catch-up
_LEAST_STALE_MS: Final = 5_000.0
_LONGEST_SLACK_MS: Final = 10_000.0


class FeedPace:
    """Measures how long it takes from one close to the next.

    An exchange simulator's clock may run a hundred times as fast, so the interval of the candles
    says nothing about the wait for the next one: only what was observed does.
    """

    def __init__(self, interval_ms: int, stale_after_s: float | None = None) -> None:
        """Begin with the interval itself as the expected pace.

        Args:
            interval_ms: of the candles.
            stale_after_s: the silence after which the feed stands still, whatever its pace; None:
                as the pace says.
        """
        self.interval_ms, self._stale_after_s = interval_ms, stale_after_s
        self._newest: tuple[int, float] | None = None  # open time and first arrival of a close
        self._paces: deque[float] = deque(maxlen=_PACES)

    @property
    def has_observed(self) -> bool:
        """Whether two closes at least have been observed."""
        return bool(self._paces)

    @property
    def pace_ms(self) -> float:
        """The wall time from one close to the next."""
        return median(self._paces) if self._paces else float(self.interval_ms)

    @property
    def stale_after_ms(self) -> float:
        """The wall time after the newest arrival at which the feed counts as standing still."""
        if self._stale_after_s is not None:
            return 1000.0 * self._stale_after_s
        pace_ms = self.pace_ms
        return max(_LEAST_STALE_MS, 1.5 * pace_ms + min(pace_ms, _LONGEST_SLACK_MS))

    def grace_ms(self) -> float:
        """Return how long after a close's first arrival a symbol may be without it."""
        return min(_LONGEST_SLACK_MS, max(1_000.0, self.pace_ms / 2))

    def silence_ms(self, now_ms: float) -> float | None:
        """Return how long no newer candle has come; None before the first."""
        return None if self._newest is None else max(0.0, now_ms - self._newest[1])

    def is_stale(self, now_ms: float) -> bool:
        """Say whether a candle should have come by now."""
        silence_ms = self.silence_ms(now_ms)
        return silence_ms is not None and silence_ms > self.stale_after_ms

    def add(self, open_time_ms: int, arrived_ms: float) -> None:
        """Add the arrival of a candle that came by stream; only a close's first one counts."""
        newest = self._newest
        if newest is not None and open_time_ms <= newest[0]:
            return
        self._newest = open_time_ms, arrived_ms
        if newest is not None and arrived_ms > newest[1]:
            closes = (open_time_ms - newest[0]) / self.interval_ms
            self._paces.append((arrived_ms - newest[1]) / closes)
