"""Decide when a connection may be attempted. PURE: the clock is an argument.

Exchanges count the attempts of an address and ban it for too many. So each socket waits longer
after each failure, and all of them share one budget, far below what the exchange allows: whatever
the connections do, and however many sockets there are.
"""

from collections import deque
from typing import Final

from shared.core.doubling_wait import DoublingWait

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 15.0
HEALTHY_AFTER_S: Final = 60.0  # of data on a connection: its end is no failure of the next one's

MAX_ATTEMPTS: Final = 60
WINDOW_S: Final = 300.0


class AttemptBudget:
    """The attempts of all sockets: at most `MAX_ATTEMPTS` in any `WINDOW_S`."""

    def __init__(self) -> None:
        """Start with no attempt made."""
        self._times_s: deque[float] = deque(maxlen=MAX_ATTEMPTS)
        self._not_before_s = float("-inf")
        self.attempts = 0

    def take(self, now_s: float) -> bool:
        """Count an attempt and return True, or return False if none is allowed now."""
        is_spent = len(self._times_s) == MAX_ATTEMPTS and now_s - self._times_s[0] < WINDOW_S
        if is_spent or now_s < self._not_before_s:
            return False
        self._times_s.append(now_s)
        self.attempts += 1
        return True

    def pause(self, now_s: float, seconds: float) -> None:
        """Allow no attempt for so long: the exchange said so, to this address."""
        self._not_before_s = max(self._not_before_s, now_s + seconds)


class ConnectionBackoff:
    """When one socket may be connected again: the wait doubles with each failure in a row."""

    def __init__(self) -> None:
        """Allow the first attempt at once."""
        self._wait = DoublingWait(FIRST_WAIT_S, LONGEST_WAIT_S)
        self.not_before_s = float("-inf")

    def on_end(self, now_s: float, data_s: float) -> float:
        """Record the end of a connection that gave data for so long; return the wait.

        A connection counts as healthy only after a while: one that is accepted, sends something
        and ends is no better than one that is refused.
        """
        if data_s >= HEALTHY_AFTER_S:
            self._wait.reset()
        wait_s = self._wait.next_s()
        self.not_before_s = now_s + wait_s
        return wait_s
