"""Sine and cosine of the time of day, the same bits on every processor.

They come from decimal arithmetic: the last bit of a library's sin depends on the processor.
"""

from decimal import Decimal, localcontext
from functools import cache
from typing import Final

MINUTES_PER_DAY: Final = 1440

_PI: Final = Decimal("3.1415926535897932384626433832795028841971693993751")


def sine(minute_of_day: int) -> float:
    """Return sin(2 pi m / 1440) of a UTC minute of the day.

    >>> sine(0), sine(360), sine(1080)
    (0.0, 1.0, -1.0)
    """
    minute = minute_of_day % MINUTES_PER_DAY
    if minute >= MINUTES_PER_DAY // 2:
        # The second half of the day is the first, mirrored; never -0.0.
        mirrored = minute - MINUTES_PER_DAY // 2
        return -sine(mirrored) if mirrored else 0.0
    return _quarter_sine(min(minute, MINUTES_PER_DAY // 2 - minute))


def cosine(minute_of_day: int) -> float:
    """Return cos(2 pi m / 1440) of a UTC minute of the day.

    >>> cosine(0), cosine(720)
    (1.0, -1.0)
    """
    return sine(minute_of_day + MINUTES_PER_DAY // 4)


@cache
def _quarter_sine(minute: int) -> float:
    """Return the sine of a minute of the day's first quarter, by its Taylor series."""
    with localcontext(prec=40):
        angle = 2 * _PI * minute / MINUTES_PER_DAY
        term = total = angle
        # The terms beyond angle**41 / 41! are below 1e-41.
        for n in range(2, 42, 2):
            term *= -angle * angle / (n * (n + 1))
            total += term
        return float(total)
