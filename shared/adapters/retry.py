"""Wait and retry: with a deadline, or with a back-off until a stop is requested."""

import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from math import inf
from typing import Final, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_not_result,
    stop_after_delay,
    wait_fixed,
)
from tenacity.nap import sleep_using_event

from shared.adapters.logs import Outage
from shared.core.doubling_wait import DoublingWait
from shared.core.errors import UlstmError, Unavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

_jitter = random.Random()  # of its own: the global one belongs to whoever seeds it

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 15.0
FIRST_REFUSAL_WAIT_S: Final = 2.0
LONGEST_REFUSAL_WAIT_S: Final = 60.0


CallWithDeadline = Callable[[Callable[[], None], float], None]
"""(call, limit in seconds): raises what the call raises, or TimeoutError."""


class StopRequested(UlstmError):
    """Raised when a stop was requested before the work was done."""


class Backoff:
    """Waits that double, with jitter so that many processes do not return at the same moment."""

    def __init__(self) -> None:
        """Begin with the shortest wait."""
        self._wait = DoublingWait(FIRST_WAIT_S, LONGEST_WAIT_S)

    def next_s(self) -> float:
        """Return the next wait in seconds."""
        return self._wait.next_s() * _jitter.uniform(0.7, 1.0)


class RefusalBackoff:
    """Waits before what was refused for good is tried again: they double up to a minute.

    The clock is an argument, in seconds.
    """

    def __init__(self) -> None:
        """Begin without a refusal."""
        self.reason = ""  # of the last refusal; empty: there is none
        self._wait = DoublingWait(FIRST_REFUSAL_WAIT_S, LONGEST_REFUSAL_WAIT_S)
        self._until_s, self._next_report_s = -inf, -inf

    def on_refused(self, reason: str, now_s: float) -> bool:
        """Note a refusal; return whether to report it: at first, then once a minute."""
        self.reason, self._until_s = reason, now_s + self._wait.next_s()
        must_report = now_s >= self._next_report_s
        if must_report:
            self._next_report_s = now_s + LONGEST_REFUSAL_WAIT_S
        return must_report

    def on_accepted(self) -> None:
        """Note that nothing is refused any longer."""
        self.reason, self._until_s = "", -inf
        self._wait.reset()

    def remaining_s(self, now_s: float) -> float:
        """Return the seconds until the next try; 0 if it may be made now."""
        return max(0.0, self._until_s - now_s)


def wait_until(
    condition: Callable[[], object], *, timeout_s: float, interval_s: float = 0.02
) -> bool:
    """Poll a condition until it is true.

    Args:
        condition: is called at least once; what it raises ends the wait.
        timeout_s: the longest wait.
        interval_s: the pause between two calls.

    Returns:
        False if the condition was still false at the timeout.
    """
    poll = Retrying(
        retry=retry_if_not_result(bool),
        wait=wait_fixed(interval_s),
        stop=stop_after_delay(timeout_s),
        retry_error_callback=lambda _: False,
    )
    return bool(poll(condition))


def retry_until_available(
    stop: threading.Event,
    call: Callable[[], T],
    report_progress: Callable[[str], None] | None = None,
) -> T:
    """Call a server again and again, with a back-off, until it answers.

    Args:
        stop: requests the end of the wait.
        call: raises Unavailable while its server does not answer.
        report_progress: takes the reason of each wait.

    Raises:
        StopRequested: stop was set before the server answered.
    """
    backoff, outage = Backoff(), Outage(log)

    def call_unless_stopped() -> T:
        # A set event ends the pause at once, so it is looked at before each call, not after.
        if stop.is_set():
            raise StopRequested("a stop was requested")
        return call()

    def report(state: RetryCallState) -> None:
        reason = str(state.outcome.exception()) if state.outcome else ""
        outage.report("%s; trying again in %.1f s", reason, state.upcoming_sleep)
        if report_progress is not None:
            report_progress(reason)

    retry = Retrying(
        retry=retry_if_exception_type(Unavailable),
        wait=lambda _: backoff.next_s(),
        sleep=sleep_using_event(stop),
        before_sleep=report,
    )
    result = retry(call_unless_stopped)
    outage.end("answered")
    return result


def call_with_deadline(call: Callable[[], None], limit_s: float) -> None:
    """Make a call that may never return; leave its thread behind at the deadline.

    Raises:
        TimeoutError: the call has not returned within the limit.
    """
    result = Future[None]()

    def run() -> None:
        try:
            call()
        except Exception as error:
            result.set_exception(error)
        else:
            result.set_result(None)

    # No executor: it would wait for the thread when the interpreter ends.
    threading.Thread(target=run, name="deadline", daemon=True).start()
    result.result(limit_s)
