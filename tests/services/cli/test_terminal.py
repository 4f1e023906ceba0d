import pytest
from rich.console import Console

from services.cli.terminal import escape_controls, plain_text


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\u202e", "\x9b", "\x07"])
def test_no_control_character_is_left(text: str) -> None:
    assert escape_controls(text).isprintable()


def test_brackets_are_no_markup_and_lines_stay_lines() -> None:
    console = Console(width=80)

    with console.capture() as shown:
        console.print(plain_text("[/b] x\ny"))

    assert shown.get() == "[/b] x\ny\n"
