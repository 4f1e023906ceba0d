"""The simulated exchange's clock: it starts at a chosen time and may run faster than real time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AcceleratedClock:
    """Convert between the monotonic clock's seconds, an argument, and the exchange's milliseconds.

    >>> clock = AcceleratedClock(start_ms=1_000_000, started_s=50.0, speed=600.0)
    >>> clock.time_ms(50.5)
    1300000
    >>> clock.seconds_until(1_600_000, 50.5)
    0.5
    """

    start_ms: int
    started_s: float
    speed: float

    def time_ms(self, now_s: float) -> int:
        """Return the exchange's time in milliseconds."""
        return self.start_ms + int((now_s - self.started_s) * self.speed * 1000)

    def seconds_until(self, time_ms: int, now_s: float) -> float:
        """Return the real seconds until a time of the exchange; negative once it has passed."""
        return self.started_s + (time_ms - self.start_ms) / (self.speed * 1000) - now_s
