"""Moments as people type and read them."""

from datetime import UTC, datetime


def parse_timestamp_ms(text: str) -> int:
    """Return milliseconds since 1970 of an ISO 8601 date or time (UTC if it names no zone), or of the number itself.

    >>> parse_timestamp_ms("2025-01-01"), parse_timestamp_ms("1735689600000")
    (1735689600000, 1735689600000)

    Raises:
        ValueError: it is neither.
    """
    if text.isdigit() and len(text) >= 10:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is no moment; give a date such as 2025-04-01 or 2025-04-01T12:00, or milliseconds"
        raise ValueError(message) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def format_timestamp(time_ms: float) -> str:
    """Return milliseconds since 1970 as a date and minute, UTC.

    >>> format_timestamp(1735689600000)
    '2025-01-01 00:00'
    """
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
