"""Log when a service becomes not ready, and when it is ready again."""

import logging
import threading
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

SETTLE_S: Final = 3.0  # a rebalance or a restoration is over by then
START_S: Final = 60.0  # the same until the service is ready for the first time
REPEAT_NOT_READY_S: Final = 300.0
_LOOK_S: Final = 1.0


class ReadinessLog:
    """Decides which changes of readiness are worth a line: once each, then every five minutes."""

    def __init__(self) -> None:
        """Begin with a service that was never ready."""
        self._was_ready = False
        self._since_s: float | None = None  # not ready; None: ready
        self._reported_s: float | None = None  # None: this outage was not reported

    def update(self, reason: str | None, now_s: float) -> tuple[int, str] | None:
        """Return the level and the text of the line that is due now, if any.

        Args:
            reason: why the service is not ready; None if it is.
            now_s: the monotonic clock.
        """
        if reason is None:
            return self._end(now_s)
        self._since_s = now_s if self._since_s is None else self._since_s
        lasted_s = now_s - self._since_s
        if lasted_s < (SETTLE_S if self._was_ready else START_S):
            return None
        if self._reported_s is not None and now_s - self._reported_s < REPEAT_NOT_READY_S:
            return None
        self._reported_s = now_s
        return logging.WARNING, f"not ready for {lasted_s:.0f} s: {reason}"

    def _end(self, now_s: float) -> tuple[int, str] | None:
        since_s, was_reported = self._since_s, self._reported_s is not None
        self._was_ready, self._since_s, self._reported_s = True, None, None
        if since_s is None or not was_reported:
            return None
        return logging.INFO, f"ready again after {now_s - since_s:.0f} s"


def watch_readiness(
    not_ready: Callable[[], str | None], clock: Callable[[], float]
) -> Callable[[], None]:
    """Log changes of readiness from a thread, which goes on while the main loop stands.

    Args:
        not_ready: returns why the service is not ready, or None.
        clock: seconds.

    Returns:
        A function that ends the thread.
    """
    stop, readiness = threading.Event(), ReadinessLog()

    def watch() -> None:
        while not stop.wait(_LOOK_S):
            line = readiness.update(not_ready(), clock())
            if line is not None:
                log.log(line[0], "%s", line[1])

    thread = threading.Thread(target=watch, name="readiness", daemon=True)
    thread.start()

    def end() -> None:
        stop.set()
        thread.join()

    return end
