"""Command line options that need a check of their own."""

from shared.core.errors import BadSetting
from shared.core.timestamps import parse_timestamp_ms


def parse_time_option_ms(text: str, option: str, default_ms: int) -> int:
    """Parse a time given as an option; return ms since 1970.

    Args:
        text: ISO 8601 or ms; empty if the option was not given.
        option: its name, for the message.
        default_ms: for an empty text.

    Raises:
        BadSetting: it is no time; the message names the option.
    """
    if not text:
        return default_ms
    try:
        return parse_timestamp_ms(text)
    except ValueError as error:
        message = f"{option}: {error}"
        raise BadSetting(message) from error
