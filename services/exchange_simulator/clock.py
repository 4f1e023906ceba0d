"""The simulated exchange's clock: it starts at a chosen time and may run faster than real time."""

import time
from collections.abc import Callable


class AcceleratedClock:
    """Converts seconds of a real clock to the exchange's milliseconds.

    >>> now_s = 50.0
    >>> clock = AcceleratedClock(start_ms=1_000_000, speed=600.0, real_s=lambda: now_s)
    >>> now_s = 50.5
    >>> clock.now_ms()
    1300000
    >>> clock.seconds_until(1_600_000)
    0.5
    """

    def __init__(
        self, start_ms: int, speed: float, real_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Start now.

        Args:
            start_ms: the exchange's time now.
            speed: seconds of the exchange in a real second.
            real_s: the real clock.
        """
        self._start_ms, self._started_s, self._real_s = start_ms, real_s(), real_s
        self.speed = speed

    def now_ms(self) -> int:
        """Return the exchange's time in milliseconds."""
        return self._start_ms + int((self._real_s() - self._started_s) * self.speed * 1000)

    def seconds_until(self, time_ms: int) -> float:
        """Return the real seconds until a time of the exchange; negative once it has passed."""
        return self._started_s + (time_ms - self._start_ms) / (self.speed * 1000) - self._real_s()
