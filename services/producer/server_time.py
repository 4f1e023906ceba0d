"""The exchange's clock, as last reported by it."""

import time
from collections.abc import Callable


class ServerTime:
    """The last time that the exchange reported: a lower bound of its time now.

    It is never extrapolated, because an exchange simulator's clock may run faster than real time.
    """

    def __init__(self) -> None:
        """Start before the first report."""
        # One tuple, replaced as a whole: threads read it without a lock.
        self._last: tuple[int, float] = (0, float("-inf"))

    @property
    def ms(self) -> int:
        """The time last reported, in milliseconds; 0 before the first report."""
        return self._last[0]

    def age_s(self) -> float:
        """Return the seconds since the last report."""
        return time.monotonic() - self._last[1]

    def update(self, time_ms: int) -> None:
        """Record a report."""
        self._last = (time_ms, time.monotonic())

    def refresh(self, max_age_s: float, fetch_ms: Callable[[], int]) -> int:
        """Return a time reported at most `max_age_s` ago, fetching a new one if needed."""
        if self.age_s() > max_age_s:
            self.update(fetch_ms())
        return self.ms
