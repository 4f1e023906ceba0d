"""Exchange time as last heard: it may run faster than real time, so it is never extrapolated."""

import time
from collections.abc import Callable


class ServerTime:
    """The last exchange time that anybody heard. What it says has passed at the exchange, whenever one asks."""

    def __init__(self) -> None:
        """Start at no time."""
        self._heard: tuple[int, float] = (0, float("-inf"))

    @property
    def ms(self) -> int:
        """The time last heard; 0 if none."""
        return self._heard[0]

    def age_s(self) -> float:
        """Return for how long nothing was heard."""
        return time.monotonic() - self._heard[1]

    def on_message(self, time_ms: int) -> None:
        """Take note of a time."""
        self._heard = (time_ms, time.monotonic())

    def at_most(self, age_s: float, ask: Callable[[], int]) -> int:
        """Return a time no older than so, asking for it if need be."""
        if self.age_s() > age_s:
            self.on_message(ask())
        return self.ms
