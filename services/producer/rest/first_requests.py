"""When to send the first requests of many symbols. PURE: the clocks are arguments.

A candle that has just closed must be read twice before it is final. Where a process starts within
that time, the first requests of many symbols would all have to be made twice, so they wait for it.
"""

from typing import Final

from services.producer.finality.settling import SETTLED_MS

MANY_SYMBOLS: Final = 500  # fewer may use a quarter of a minute's weight twice
MAX_WAIT_S: Final = SETTLED_MS / 1000


class FirstRequests:
    """Holds back the first requests of many symbols until the newest candle has settled."""

    def __init__(self, interval_ms: int) -> None:
        """Start without a request; `interval_ms` is the time between two open times."""
        self._interval_ms = interval_ms
        self._since_s: float | None = None

    def may_go(self, symbols: int, server_ms: int, now_s: float) -> bool:
        """Return whether to send the first requests of so many symbols now.

        Args:
            symbols: the number of symbols that were not requested yet.
            server_ms: the exchange's time.
            now_s: the time now.
        """
        if self._since_s is None:
            self._since_s = now_s
        has_settled = server_ms % self._interval_ms >= SETTLED_MS
        return symbols < MANY_SYMBOLS or has_settled or now_s - self._since_s >= MAX_WAIT_S
