"""Remember the symbols that the exchange gives no stream of. PURE: the clock is an argument."""

from collections.abc import Iterable
from typing import Final

FIRST_WAIT_S: Final = 60.0
LONGEST_WAIT_S: Final = 3600.0
GROWTH: Final = 4


class LeftOut:
    """Symbols that the exchange does not give a stream of, and when to ask for them again."""

    def __init__(self) -> None:
        """Start with none."""
        self._until_s: dict[str, float] = {}
        self._wait_s: dict[str, float] = {}
        self.reasons: dict[str, str] = {}

    def add(self, symbol: str, reason: str, now_s: float) -> None:
        """Leave a symbol out: for a minute first, each time for longer, for an hour at most."""
        last_s = self._wait_s.get(symbol, FIRST_WAIT_S / GROWTH)
        wait_s = min(LONGEST_WAIT_S, GROWTH * last_s)
        self._wait_s[symbol], self._until_s[symbol] = wait_s, now_s + wait_s
        self.reasons[symbol] = reason

    def discard(self, symbols: Iterable[str]) -> None:
        """Forget symbols: they are carried, or not wanted any longer."""
        for symbol in symbols:
            self._until_s.pop(symbol, None)
            self._wait_s.pop(symbol, None)
            self.reasons.pop(symbol, None)

    def is_out(self, symbol: str, now_s: float) -> bool:
        """Return whether not to ask for a symbol now."""
        return now_s < self._until_s.get(symbol, 0.0)

    def is_suspect(self, symbol: str) -> bool:
        """Return whether a symbol was left out before, so that it is asked for alone."""
        return symbol in self._until_s
