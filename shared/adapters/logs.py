"""Log lines on standard error: one an event, for people or as JSON.

Whatever is logged passes one cleaning: passwords of addresses are hidden, control characters are
escaped, and its length is bounded. So text from outside can neither forge a line nor move a
terminal's cursor, and no caller has to think of it.
"""

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal

from shared.adapters.passwords import hide_passwords
from shared.core.printable_text import escape_controls

LogFormat = Literal["console", "json"]

LONGEST: Final = 4_000  # characters of a message
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


class ConsoleFormatter(logging.Formatter):
    """Formats a line for people: time, service, level, logger, message."""

    def __init__(self, service: str) -> None:
        """Take the service's name."""
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback's lines indented below it."""
        head = f"{_time(record)} {self._service} {record.levelname} {record.name}"
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
            "logger": record.name,
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
