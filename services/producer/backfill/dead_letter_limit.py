"""Bound the dead letters of one cause: an exchange can send thousands of them in a minute. PURE.

The clock is an argument.
"""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

from services.producer.backfill.sequencer import LogEntry, UnreadableKline

MAX_LETTERS: Final = 10  # of one reason, whatever the symbol, in each span of time
SPAN_S: Final = 60.0


class DeadLetterLimit:
    """Counts the dead letters of each reason; the surplus is left out and counted."""

    def __init__(self) -> None:
        """Start without one."""
        self._kept_s: dict[str, deque[float]] = {}  # by reason: when the newest were kept
        self._suppressed = Counter[str]()
        self._reported_s: float | None = None

    def keep(self, entries: Iterable[LogEntry], now_s: float) -> list[LogEntry]:
        """Return the entries without the dead letters that are too many."""
        return [
            entry
            for entry in entries
            if not isinstance(entry, UnreadableKline) or self._is_kept(entry.reason, now_s)
        ]

    def report(self, now_s: float) -> str | None:
        """Return a message about what was left out, once in a while; None if there is nothing."""
        is_early = self._reported_s is not None and now_s - self._reported_s < SPAN_S
        if is_early or not self._suppressed:
            return None
        reasons = ", ".join(f"{count} {reason}" for reason, count in self._suppressed.items())
        self._reported_s = now_s
        self._suppressed.clear()
        return (
            f"more than {MAX_LETTERS} klines in {SPAN_S:g} s could not be read for one reason;"
            f" these are in no dead letter: {reasons}"
        )

    def _is_kept(self, reason: str, now_s: float) -> bool:
        kept_s = self._kept_s.setdefault(reason, deque(maxlen=MAX_LETTERS))
        if len(kept_s) == MAX_LETTERS and now_s - kept_s[0] < SPAN_S:
            self._suppressed[reason] += 1
            return False
        kept_s.append(now_s)
        return True
