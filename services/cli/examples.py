"""Examples at the end of each command's help. A test parses and runs them."""

from collections.abc import Iterator
from typing import Final

_TITLE: Final = "[bold]Examples[/bold]"
_INDENT: Final = "  "


def examples(*commands: str) -> str:
    """Return the end of a command's help.

    Args:
        commands: whole command lines that begin with `ulstm`.
    """
    return "\n".join([_TITLE, *(f"{_INDENT}{command}" for command in commands)])


def examples_in(epilog: str | None) -> Iterator[str]:
    """Yield the command lines at the end of a command's help."""
    for line in (epilog or "").splitlines():
        if line.startswith(_INDENT):
            yield line.strip()
