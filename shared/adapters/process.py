"""A service as a process: its log, its stop signal, its patience, its exit code."""

import logging
import random
import signal
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from shared.core.errors import BadSetting, Incompatible, UlstmError, Unavailable

log = logging.getLogger("ulstm")
T = TypeVar("T")

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 15.0


def stop_on_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def log_to_stderr(level: str, service: str) -> None:
    """Write log lines with time, service and level to standard error."""
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format=f"%(asctime)s {service} %(levelname)s %(message)s",
    )


class Backoff:
    """The waits of a back-off: doubling, with jitter, so that many processes do not come back at once."""

    def __init__(self) -> None:
        """Start short."""
        self._next_s = FIRST_WAIT_S

    def next_s(self) -> float:
        """Return the next wait in seconds."""
        wait = self._next_s
        self._next_s = min(LONGEST_WAIT_S, wait * 2)
        return wait * random.uniform(0.7, 1.0)


def retry_until_available(
    stop: threading.Event, action: Callable[[], T], tell: Callable[[str], None] | None = None
) -> T | None:
    """Return what an action gives, trying again while its server is missing; None once stop is set.

    Args:
        stop: ends the waiting.
        action: what to try.
        tell: takes the reason for each wait.

    Raises:
        Incompatible: waiting will not help.
    """
    waits = Backoff()
    while not stop.is_set():
        try:
            return action()
        except Unavailable as error:
            wait = waits.next_s()
            if tell is not None:
                tell(str(error))
            log.warning("%s; trying again in %.1f s", error, wait)
            stop.wait(wait)
    return None


def exit_code(run: Callable[[], None]) -> int:
    """Run a service; return its exit code: 0 done, 1 it had to stop, 2 wrong settings."""
    try:
        run()
    except BadSetting as error:
        print(f"refusing to start: {error}", file=sys.stderr)  # noqa: T201 - there may be no log yet
        return 2
    except Incompatible as error:
        log.error("refusing to go on: %s", error)  # noqa: TRY400 - the message says it all
        return 1
    except UlstmError as error:
        log.error("stopping: %s", error)  # noqa: TRY400 - likewise
        return 1
    return 0
