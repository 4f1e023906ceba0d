"""Tables and paragraphs in Markdown."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

LINE_LENGTH: Final = 100


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Return a text on one line, for a table."""
    return " ".join(text.split()).replace("|", "\\|")


def wrap(text: str) -> str:
    """Return a paragraph in lines."""
    return textwrap.fill(text, LINE_LENGTH, break_long_words=False, break_on_hyphens=False)
