"""A span of open times."""

from dataclasses import dataclass
from sys import maxsize


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Open times from one on, up to, not including, another; both in ms."""

    from_ms: int = 0
    until_ms: int = maxsize

    def __contains__(self, time_ms: int) -> bool:
        """Return whether an open time lies in the range."""
        return self.from_ms <= time_ms < self.until_ms
