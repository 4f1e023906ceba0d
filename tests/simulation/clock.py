"""Time in the simulation: it passes only when somebody lets it."""

import heapq
from collections.abc import Callable
from itertools import count


class SimulatedClock:
    """Seconds since the simulation began, and what is due at which of them."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def __call__(self) -> float:
        return self.now_s

    def at(self, time_s: float, do: Callable[[], None]) -> None:
        """Do something once this time has come."""
        heapq.heappush(self._due, (time_s, next(self._order), do))

    def advance(self, seconds: float) -> None:
        """Let time pass; what comes due is done in its order."""
        until_s = self.now_s + seconds
        while self._due and self._due[0][0] <= until_s:
            time_s, _, do = heapq.heappop(self._due)
            self.now_s = max(self.now_s, time_s)
            do()
        self.now_s = until_s
