"""Moments given as options."""

from shared.core.errors import BadSetting
from shared.core.timestamps import parse_timestamp_ms


def parse_time_option_ms(text: str, option: str, default_ms: int) -> int:
    """Return the milliseconds since 1970 of a moment given as an option.

    Raises:
        BadSetting: it is no moment; the message names the option.
    """
    if not text:
        return default_ms
    try:
        return parse_timestamp_ms(text)
    except ValueError as error:
        message = f"{option}: {error}"
        raise BadSetting(message) from error
