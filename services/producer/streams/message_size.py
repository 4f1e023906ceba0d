"""Learn how many symbols a subscription message may have. PURE."""

from typing import Final

MAX_SYMBOLS: Final = 100


class MessageSize:
    """The number of symbols in a message, learnt from what the exchange answers.

    It is halved when a message goes unanswered, doubled when one of that size is acknowledged. A
    size that fails twice, with nothing larger acknowledged in between, is not tried again.
    """

    def __init__(self, max_symbols: int = MAX_SYMBOLS) -> None:
        """Start with the largest."""
        self._max_symbols = self.symbols = max_symbols
        self._failures: dict[int, int] = {}

    def on_failure(self, size: int) -> None:
        """Record a message that was refused, not acknowledged, or ended the connection."""
        if size > 1:
            self._failures[size] = self._failures.get(size, 0) + 1
            self.symbols = min(self.symbols, size // 2)

    def on_success(self, size: int) -> None:
        """Record a message that was acknowledged."""
        self._failures = {each: n for each, n in self._failures.items() if each > size}
        too_large = min((each for each, n in self._failures.items() if n > 1), default=None)
        limit = self._max_symbols if too_large is None else too_large // 2
        self.symbols = max(self.symbols, min(limit, 2 * size))
