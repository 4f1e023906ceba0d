"""Log lines on standard error: one an event, for people or as JSON.

Whatever is logged passes one cleaning: passwords of addresses are hidden, control characters are
escaped, and its length is bounded. So text from outside can neither forge a line nor move a
terminal's cursor, and no caller has to think of it.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal

from shared.adapters.passwords import hide_passwords
from shared.core.printable_text import escape_controls

LogFormat = Literal["console", "json"]

LONGEST: Final = 4_000  # characters of a message
STORM_LINES: Final = 20  # of one event in a minute; more are counted and left out
REPEAT_S: Final = 60.0  # between two lines about an outage that goes on
_TRACEBACK: Final = "  | "  # begins the lines of a traceback: no log line begins so

log = logging.getLogger(__name__)


def start_logging(level: str, service: str, form: LogFormat = "console") -> None:
    """Write log lines to standard error, errors that end the process among them.

    Args:
        level: the least severe level.
        service: names this process in each line.
        form: lines for people, or one JSON object a line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service) if form == "json" else ConsoleFormatter(service))
    handler.addFilter(StormFilter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda failure: _log_uncaught(
        failure.exc_type, failure.exc_value, failure.exc_traceback
    )


def clean(text: str) -> str:
    """Return a text without passwords and control characters, cut at `LONGEST` characters."""
    cut = f"{text[:LONGEST]} ..." if len(text) > LONGEST else text
    return escape_controls(hide_passwords(cut))


@dataclass(slots=True)
class _Minute:
    """The lines of an event in the minute that began at a time."""

    began_s: float
    lines: int = 0
    left_out: int = 0


class StormFilter(logging.Filter):
    """Lets at most `STORM_LINES` of an event through in a minute.

    The first line of a later minute says how many were left out.
    """

    def __init__(self) -> None:
        """Start with no line."""
        super().__init__()
        self._minutes: dict[tuple[str, str], _Minute] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record becomes a line."""
        event, now_s = (record.name, str(record.msg)), record.created
        minute = self._minutes.get(event)
        if minute is None or now_s - minute.began_s >= REPEAT_S:
            left_out = 0 if minute is None else minute.left_out
            minute = self._minutes[event] = _Minute(now_s)
            if left_out:
                record.msg = f"{record.msg} (and {left_out} lines like it before, left out)"
        minute.lines += 1
        if minute.lines > STORM_LINES:
            minute.left_out += 1
            return False
        return True


class Outage:
    """Logs that something fails when it begins, once a minute, and when it works again."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with everything working.

        Args:
            logger: of the module whose work fails.
            clock: seconds.
        """
        self._logger, self._clock = logger, clock
        self._began_s = self._reported_s = 0.0
        self._is_on = False

    def report(self, message: str, *arguments: object) -> None:
        """Log a failure: the first of an outage as a warning, then one a minute."""
        now_s = self._clock()
        if not self._is_on:
            self._is_on, self._began_s = True, now_s
        elif now_s - self._reported_s < REPEAT_S:
            self._logger.debug(message, *arguments)
            return
        self._reported_s = now_s
        self._logger.warning(message, *arguments)

    def end(self, what: str) -> None:
        """Log that it works again, if it did not."""
        if self._is_on:
            self._is_on = False
            self._logger.info("%s again after %.0f s", what, self._clock() - self._began_s)


class ConsoleFormatter(logging.Formatter):
    """Formats a line for people: time, service, level, logger, message."""

    def __init__(self, service: str) -> None:
        """Take the service's name."""
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback's lines indented below it."""
        name = _logger(record, self._service)
        head = f"{_time(record)} {self._service} {record.levelname} {name}"
        lines = [f"{head} {clean(record.getMessage())}"]
        if record.exc_info:
            traceback = self.formatException(record.exc_info)
            lines += [f"{_TRACEBACK}{clean(line)}" for line in traceback.splitlines()]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """Formats a line as JSON: the message, and what it was made of.

    `event` is the message before its arguments were put in: the same for each event of its kind.
    """

    def __init__(self, service: str) -> None:
        """Take the service's name."""
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object in ASCII."""
        fields: dict[str, Any] = {
            "time": _time(record),
            "service": self._service,
            "level": record.levelname,
            "logger": _logger(record, self._service),
            "message": clean(record.getMessage()),
            "event": clean(str(record.msg)),
            "arguments": [_to_json(each) for each in record.args or ()],
        }
        if record.exc_info:
            fields["exception"] = [
                clean(line) for line in self.formatException(record.exc_info).splitlines()
            ]
        return json.dumps(fields)


def _time(record: logging.LogRecord) -> str:
    """Return the time of a record in UTC, such as 2026-11-26T13:30:00.123Z."""
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def _logger(record: logging.LogRecord, service: str) -> str:
    """Return the module of a record; the one that is run calls itself `__main__`."""
    package = f"services.{service.replace('-', '_')}"
    return package if record.name == "__main__" else record.name


def _to_json(argument: object) -> object:
    # A number that is not finite has no JSON.
    is_plain = argument is None or isinstance(argument, bool | int)
    return argument if is_plain else clean(str(argument))


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt) or error is None:
        return
    log.critical("an unexpected error ends this thread", exc_info=(kind, error, traceback))
