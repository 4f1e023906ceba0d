"""Dead letters as text for the terminal, and as JSON values for programs."""

import base64
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from services.cli.redrive import RedriveResult, RedriveStatus
from services.cli.terminal import escape_controls
from shared.adapters.schemas.dead_letters import DeadLetter
from shared.log.dead_letters import format_place

_SHOWN: Final = 100  # characters of the original bytes
_LONGEST: Final = 1_000  # characters of any text in a dead letter
_LAST_MS: Final = 253_402_300_799_999  # of the year 9999


def describe(time_ms: int, dead_letter: DeadLetter) -> str:
    """Return three lines: time, place, key and reason; message; the beginning of the bytes."""
    reason, message = printable(dead_letter.reason), printable(dead_letter.message)
    value = "(no bytes)" if dead_letter.value is None else _preview(dead_letter.value)
    return f"{_clock(time_ms)}  {_name(dead_letter)}  {reason}\n    {message}\n    {value}"


def describe_result(result: RedriveResult) -> str:
    """Return one line: status, place, key, and the reason if it cannot be redriven."""
    why = f": {result.reason}: {printable(result.message)}" if result.message else ""
    return f"{result.status:7}  {_name(result.dead_letter)}{why}"


def summarise(results: Sequence[RedriveResult], *, sent: bool) -> str:
    """Return the counts by status, and what to do next."""
    if not results:
        return "no dead letters are selected"
    counts = Counter(result.status for result in results)
    ready, in_log, refused = (counts[status] for status in RedriveStatus)
    if sent:
        return f"{ready} redriven, {in_log} in the log already, {refused} refused"
    advice = "; stop the producer and add --yes to redrive them" if ready else ""
    return (
        f"nothing was written: {ready} can be redriven, {in_log} are in the log already,"
        f" {refused} are refused{advice}"
    )


def count_by_reason(reasons: Counter[str]) -> str:
    """Return the reasons with their counts, the most frequent first."""
    return ", ".join(
        f"{printable(reason) or '(none)'} {count}" for reason, count in reasons.most_common()
    )


def to_json(time_ms: int, dead_letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter, with its original bytes, for a program."""
    value = dead_letter.value
    return {
        "time_ms": time_ms,
        **_place_to_json(dead_letter),
        "reason": dead_letter.reason,
        "message": dead_letter.message,
        "value_base64": None if value is None else base64.b64encode(value).decode(),
    }


def result_to_json(result: RedriveResult) -> dict[str, Any]:
    """Return a decision for a program."""
    return {
        **_place_to_json(result.dead_letter),
        "status": result.status,
        "reason": result.reason,
        "message": result.message,
    }


def printable(text: str) -> str:
    """Return the beginning of a text, with control characters escaped."""
    return escape_controls(text[:_LONGEST])


def _place_to_json(dead_letter: DeadLetter) -> dict[str, Any]:
    key = dead_letter.key
    return {
        "place": printable(format_place(dead_letter)),
        "topic": dead_letter.topic,
        "partition": dead_letter.partition,
        "offset": dead_letter.offset,
        "key": None if key is None else key.decode("utf-8", "backslashreplace"),
    }


def _name(dead_letter: DeadLetter) -> str:
    key = "-" if dead_letter.key is None else _preview(dead_letter.key)
    return f"{printable(format_place(dead_letter))}  {key}"


def _preview(data: bytes) -> str:
    """Return the beginning of bytes; what is no UTF-8 is escaped."""
    shown = printable(data[: 4 * _SHOWN].decode("utf-8", "backslashreplace"))
    return f"{shown[:_SHOWN]}…" if len(shown) > _SHOWN else shown


def _clock(time_ms: int) -> str:
    if not 0 < time_ms <= _LAST_MS:
        return "-"
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
