"""A count over the last hour."""

from collections import deque
from typing import Final

_HOUR_MS: Final = 3_600_000
_BUCKET_MS: Final = 10_000


class HourlyCount:
    """Counts events of the last hour, in buckets of ten seconds: 360 of them at most."""

    def __init__(self) -> None:
        """Begin with none."""
        self._buckets: deque[list[int]] = deque()  # [bucket, count], the newest last

    def add(self, now_ms: float) -> None:
        """Count an event; times do not decrease."""
        bucket = int(now_ms // _BUCKET_MS)
        if not self._buckets or self._buckets[-1][0] < bucket:
            self._buckets.append([bucket, 0])
        self._buckets[-1][1] += 1
        self._drop_older(now_ms)

    def count(self, now_ms: float) -> int:
        """Return the number of events within the hour before."""
        self._drop_older(now_ms)
        return sum(count for _, count in self._buckets)

    def _drop_older(self, now_ms: float) -> None:
        oldest = (now_ms - _HOUR_MS) // _BUCKET_MS
        while self._buckets and self._buckets[0][0] <= oldest:
            self._buckets.popleft()
