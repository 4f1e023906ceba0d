"""Decide when a connection is replaced for its age. PURE.

Ages are shares of the exchange's limit. Connections that began together are replaced one after the
other, each in the middle of a candle, where a replacement disturbs least.
"""

from typing import Final

STAGGER_SHARE: Final = 0.01
MAX_STAGGERED: Final = 20
OVERDUE_SHARE: Final = 1.02
MID_CANDLE: Final = (0.2, 0.6)


def may_be_renewed(share: float, number: int) -> bool:
    """Return whether a connection with that number is old enough.

    >>> may_be_renewed(0.95, 4), may_be_renewed(0.95, 5)
    (False, True)
    """
    return share >= 1 - STAGGER_SHARE * (number % MAX_STAGGERED)


def is_overdue(share: float) -> bool:
    """Return whether a connection may wait no longer for a good moment."""
    return share >= OVERDUE_SHARE


def is_mid_candle(time_ms: int, interval_ms: int) -> bool:
    """Return whether a time of the exchange is in the middle of a candle.

    >>> is_mid_candle(120_000, 300_000), is_mid_candle(299_000, 300_000)
    (True, False)
    """
    first, last = MID_CANDLE
    return first <= time_ms % interval_ms / interval_ms <= last
