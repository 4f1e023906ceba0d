"""Facts in words. PURE."""

from collections.abc import Sequence
from typing import Final

_NAMED: Final = 5


def count(number: float, noun: str) -> str:
    """Return a number with its noun.

    >>> count(1, "symbol"), count(1200, "symbol")
    ('1 symbol', '1,200 symbols')
    """
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def names(values: Sequence[object]) -> str:
    """Return the first few of some names.

    >>> names(["A", "B"]), names(range(9))
    ('A, B', '0, 1, 2, 3, 4 and 4 more')
    """
    shown = ", ".join(map(str, values[:_NAMED]))
    more = len(values) - _NAMED
    return shown if more <= 0 else f"{shown} and {more:,} more"


def verb(number: float, singular: str, plural: str) -> str:
    """Return the form of a verb that goes with a number."""
    return singular if number == 1 else plural


def duration(milliseconds: float) -> str:
    """Return a length of time.

    >>> duration(5_400), duration(90_000), duration(7_300_000), duration(200_000_000)
    ('5 s', '2 min', '2.0 h', '2.3 days')
    """
    seconds = max(0.0, milliseconds / 1000)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86_400 else f"{seconds / 86_400:.1f} days"
