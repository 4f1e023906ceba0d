"""A service as a process: its stop signal and its exit code."""

import logging
import signal
import sys
import threading
from collections.abc import Callable

from shared.adapters.logs import clean
from shared.core.errors import BadSetting, Incompatible, NotAuthorized, UlstmError

log = logging.getLogger(__name__)


class StopSignal(threading.Event):
    """A stop signal that tells when it is looked at: who does is not hanging."""

    def __init__(self, on_check: Callable[[], None]) -> None:
        """Take what to call at each look."""
        super().__init__()
        self._on_check = on_check

    def is_set(self) -> bool:
        """Return whether the signal has come."""
        self._on_check()
        return super().is_set()


def stop_on_signal(on_check: Callable[[], None] = lambda: None) -> threading.Event:
    """Return an event that SIGTERM and SIGINT set; `on_check` is called whenever it is asked."""
    stop = StopSignal(on_check)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def exit_code(run: Callable[[], None]) -> int:
    """Run a service; return its exit code: 0 done, 1 failed, 2 invalid settings."""
    try:
        run()
    except BadSetting as error:
        # There may be no log yet: its format is a setting too.
        print(f"refusing to start: {clean(str(error))}", file=sys.stderr)  # noqa: T201 - likewise
        return 2
    except (Incompatible, NotAuthorized) as error:
        log.error("refusing to continue: %s", error)  # noqa: TRY400 - the message is enough
        return 1
    except UlstmError as error:
        log.error("stopping: %s", error)  # noqa: TRY400 - likewise
        return 1
    return 0
