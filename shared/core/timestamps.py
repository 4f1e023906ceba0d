"""Timestamps as people type and read them."""

from datetime import UTC, datetime
from typing import Final

_MOST_DIGITS: Final = 14  # of milliseconds: beyond them the years have five digits


def parse_timestamp_ms(text: str) -> int:
    """Parse an ISO 8601 date or time, or milliseconds, into milliseconds since 1970.

    A time without a zone is UTC.

    >>> parse_timestamp_ms("2025-01-01"), parse_timestamp_ms("1735689600000")
    (1735689600000, 1735689600000)

    Raises:
        ValueError: the text is none of these.
    """
    if text.isascii() and text.isdigit() and 10 <= len(text) <= _MOST_DIGITS:
        return int(text)
    try:
        timestamp = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not a time; give a date such as 2025-04-01 or 2025-04-01T12:00, or"
            " milliseconds since 1970"
        ) from error
    if timestamp.tzinfo is None:
        timestamp = timestamp.replace(tzinfo=UTC)
    return int(timestamp.timestamp() * 1000)


def format_timestamp(time_ms: float) -> str:
    """Format milliseconds since 1970 as a date and minute, UTC.

    >>> format_timestamp(1735689600000)
    '2025-01-01 00:00'
    """
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
