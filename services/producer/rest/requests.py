"""What the worker requests of the exchange, and how urgent it is. PURE."""

from dataclasses import dataclass
from enum import IntEnum


class Priority(IntEnum):
    """What a request is for, the most urgent first: each may use a smaller share of the budget."""

    LIVE = 0  # the newest candles of a symbol that the log is up to date with
    BACKFILL = 1
    PRICES = 2  # closes of symbols that are followed for the market's move alone
    RECONCILIATION = 3


@dataclass(frozen=True, slots=True)
class KlineRequest:
    """A request for a symbol's klines from an open time on.

    Attributes:
        symbol: the symbol.
        from_ms: the first open time wanted.
        logged_until_ms: the log may have the market's moves of candles that open before, which are
            then part of the response.
        until_ms: klines that open from here on are not wanted; None: all.
        priority: what the request is for.
    """

    symbol: str
    from_ms: int
    logged_until_ms: int = 0
    until_ms: int | None = None
    priority: Priority = Priority.BACKFILL
