"""Moments as people type them."""

from datetime import UTC, datetime

from shared.core.errors import BadSetting


def moment_ms(text: str, option: str, default_ms: int) -> int:
    """Return milliseconds since 1970 of an ISO date or time (UTC if it names no zone), or of milliseconds.

    >>> moment_ms("2025-04-01", "--from", 0)
    1743465600000

    Raises:
        BadSetting: it is no moment; the message names the option.
    """
    if not text:
        return default_ms
    if text.isdigit() and len(text) >= 10:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"{option} is {text!r}; give a date such as 2025-04-01 or 2025-04-01T12:00, or milliseconds"
        raise BadSetting(message) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
