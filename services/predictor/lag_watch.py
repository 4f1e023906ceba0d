"""Which symbol groups are too far behind the end of the log. PURE."""

from collections.abc import Mapping
from math import inf
from typing import Final

BEHIND_S: Final = 60.0  # a close, or a batch of back-filled candles, takes less


class LagWatch:
    """Notes since when each partition has been behind the end of the log.

    A partition that was just taken over counts as behind until it is at the end for the first time.
    Times are of the monotonic clock, in seconds.
    """

    def __init__(self) -> None:
        """Begin without a partition."""
        self._since_s: dict[int, float] = {}
        self._lags: Mapping[int, int | None] = {}

    @property
    def is_behind(self) -> bool:
        """Whether any partition is behind, be it for a moment."""
        return bool(self._since_s)

    def update(self, lags: Mapping[int, int | None], now_s: float) -> None:
        """Take over how many records each partition is behind; None: the end is not known yet."""
        known = self._lags.keys()
        self._since_s = {
            partition: self._since_s.get(partition, now_s if partition in known else -inf)
            for partition, lag in lags.items()
            if lag != 0
        }
        self._lags = dict(lags)

    def problem(self, now_s: float) -> str | None:
        """Return which partitions have been behind for too long, and how far, or None."""
        behind = [p for p, since_s in self._since_s.items() if now_s - since_s > BEHIND_S]
        if not behind:
            return None
        records = sum(self._lags[partition] or 0 for partition in behind)
        return f"symbol groups {sorted(behind)} are {records:,} records behind the end of the log"
