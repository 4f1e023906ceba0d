"""Simulated time: it passes only when the simulation advances it."""

import heapq
from collections.abc import Callable
from itertools import count


class SimulatedClock:
    """Seconds since the start of the simulation, and the calls that are due."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def __call__(self) -> float:
        return self.now_s

    def at(self, time_s: float, call: Callable[[], None]) -> None:
        """Schedule a call."""
        heapq.heappush(self._due, (time_s, next(self._order), call))

    def advance(self, seconds: float) -> None:
        """Let time pass and make the calls that come due, in order."""
        until_s = self.now_s + seconds
        while self._due and self._due[0][0] <= until_s:
            time_s, _, call = heapq.heappop(self._due)
            self.now_s = max(self.now_s, time_s)
            call()
        self.now_s = until_s
