"""Symbols whose rows are to be sent to the browsers."""

from collections.abc import Iterable
from typing import Final

HOLD_MS: Final = 800.0  # for which a candle waits for its prediction before it is shown


class ChangedSymbols:
    """Remembers changed symbols until they are taken.

    A symbol whose prediction is about to follow its candle is sent once, with both.
    """

    def __init__(self) -> None:
        """Begin without changes."""
        self._changed = set[str]()
        self._held_until_ms: dict[str, float] = {}  # wait for a prediction

    def add(self, symbols: Iterable[str]) -> None:
        """Add symbols that have changed."""
        self._changed.update(symbols)

    def defer(self, symbol: str, read_ms: float) -> None:
        """Let a symbol wait for the prediction of its candle, which was read at a wall time."""
        self._held_until_ms[symbol] = read_ms + HOLD_MS

    def release(self, symbol: str) -> None:
        """Let a symbol wait no longer: its prediction is here."""
        self._held_until_ms.pop(symbol, None)

    def are_due(self, now_ms: float) -> bool:
        """Say whether any changed symbol is due."""
        return any(self._is_due(symbol, now_ms) for symbol in self._changed)

    def await_predictions(self, now_ms: float) -> bool:
        """Say whether a candle waits for its prediction."""
        return any(until_ms > now_ms for until_ms in self._held_until_ms.values())

    def take(self, now_ms: float) -> set[str]:
        """Return the due symbols, and forget them."""
        due = {symbol for symbol in self._changed if self._is_due(symbol, now_ms)}
        self._changed -= due
        for symbol in due:
            self._held_until_ms.pop(symbol, None)
        return due

    def _is_due(self, symbol: str, now_ms: float) -> bool:
        return self._held_until_ms.get(symbol, 0.0) <= now_ms
