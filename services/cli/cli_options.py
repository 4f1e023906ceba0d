"""Options that several commands have, and the times given as options."""

from typing import Annotated, TypeAlias

import typer

from shared.core.errors import BadSetting
from shared.core.timestamps import parse_timestamp_ms

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RunFor: TypeAlias = Annotated[
    float, typer.Option("--for", min=0, help="Stop after so many seconds; 0: at Ctrl-C.")
]


def parse_time_option_ms(text: str, option: str, default_ms: int) -> int:
    """Parse a time given as an option; return ms since 1970.

    Args:
        text: ISO 8601 or ms; empty if the option was not given.
        option: its name, for the message.
        default_ms: for an empty text.

    Raises:
        BadSetting: it is no time; the message names the option.
    """
    try:
        return parse_timestamp_ms(text) if text else default_ms
    except ValueError as error:
        raise BadSetting(f"{option}: {error}") from error
