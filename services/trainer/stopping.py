"""Ends long work at a stop signal or a deadline."""

import threading
from collections.abc import Callable

from shared.adapters.retry import StopRequested


class Deadline(threading.Event):
    """An event that counts as set once another one is, or at a time of the clock."""

    def __init__(self, stop: threading.Event, end_s: float, clock: Callable[[], float]) -> None:
        """Take the other event, and the time in seconds of `clock`."""
        super().__init__()
        self._stop, self._end_s, self._clock = stop, end_s, clock

    def is_set(self) -> bool:
        """Return whether the work is to end."""
        return self._stop.is_set() or self._clock() >= self._end_s


def check_stop(stop: threading.Event, consequence: str = "") -> None:
    """Raise StopRequested if `stop` is set; `consequence` completes the message."""
    if stop.is_set():
        raise StopRequested(f"a stop was requested{consequence}")


def stoppable(stop: threading.Event, progress: Callable[[int], None]) -> Callable[[int], None]:
    """Return a progress callback that raises StopRequested once `stop` is set."""

    def advance(count: int) -> None:
        check_stop(stop)
        progress(count)

    return advance
