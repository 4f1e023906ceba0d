"""Learn from an exchange's answers how large a message may be and how long to wait for it. PURE."""

from typing import Final

MAX_SYMBOLS: Final = 100
FIRST_BLOCK_S: Final = 10.0
LONGEST_BLOCK_S: Final = 3600.0
GROWTH: Final = 4

SHORTEST_PATIENCE_S: Final = 5.0
LONGEST_PATIENCE_S: Final = 30.0


class MessageSize:
    """The number of symbols in a message.

    It is halved when a message fails, doubled when one of that size is acknowledged. A size that
    fails is not tried again for a while, each time for longer: an exchange that was overloaded
    gets large messages again soon, one that has a limit is hardly asked.
    """

    def __init__(self, max_symbols: int = MAX_SYMBOLS) -> None:
        """Start with the largest."""
        self._max_symbols = self.symbols = max_symbols
        self._blocks: dict[int, tuple[float, float]] = {}  # by size: how long, and until when

    def on_failure(self, size: int, now_s: float) -> None:
        """Record a message that was refused, not acknowledged, or ended the connection."""
        if size > 1:
            before_s, _ = self._blocks.get(size, (FIRST_BLOCK_S / GROWTH, 0.0))
            wait_s = min(LONGEST_BLOCK_S, GROWTH * before_s)
            self._blocks[size] = (wait_s, now_s + wait_s)
            self.symbols = min(self.symbols, size // 2)

    def on_success(self, size: int, now_s: float) -> None:
        """Record a message that was acknowledged."""
        self._blocks = {each: block for each, block in self._blocks.items() if each > size}
        blocked = [each for each, (_, until_s) in self._blocks.items() if now_s < until_s]
        limit = min((each // 2 for each in blocked), default=self._max_symbols)
        self.symbols = max(self.symbols, min(limit, 2 * size, self._max_symbols))


class AnswerPatience:
    """How long to wait for an acknowledgement: an exchange under load answers late, but answers."""

    def __init__(self) -> None:
        """Start with the shortest."""
        self.seconds = SHORTEST_PATIENCE_S

    def on_answer(self, elapsed_s: float) -> None:
        """Record an answer, in time or late: wait twice as long, and for less only by and by."""
        self._set(max(2 * elapsed_s, self.seconds / 2))

    def on_silence(self) -> None:
        """Record a connection that answered nothing: wait longer on the next."""
        self._set(2 * self.seconds)

    def _set(self, seconds: float) -> None:
        self.seconds = min(LONGEST_PATIENCE_S, max(SHORTEST_PATIENCE_S, seconds))
