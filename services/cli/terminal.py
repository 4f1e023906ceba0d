"""Texts of records on the terminal: shown as they are, never obeyed.

A foreign program may write anything to a topic: escape sequences that a terminal obeys, or square
brackets that rich takes for markup.
"""

from typing import Final

from rich.console import Console
from rich.text import Text

_LONGEST: Final = 1_000  # characters of any text in a record


def escape_controls(text: str) -> str:
    """Return a text with its control characters escaped, line breaks among them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable(text: str) -> str:
    """Return the beginning of a text, with its control characters escaped."""
    return escape_controls(text[:_LONGEST])


def plain_text(text: str, style: str = "") -> Text:
    """Return a text of one or more lines for rich, without markup."""
    return Text("\n".join(map(escape_controls, text.split("\n"))), style=style)


def print_warning(console: Console, message: str) -> None:
    """Print a message that the user should not overlook."""
    console.print(plain_text(f"WARNING: {message}", "bold red"), soft_wrap=True)
