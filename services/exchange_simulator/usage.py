"""Usage of the exchange's limits by clients, for tests."""

import time
from collections import Counter, deque
from typing import Final

MINUTE_S: Final = 60.0
ATTEMPTS_WINDOW_S: Final = 300.0


class _Rolling:
    """The largest sum within a time that ends now or ended earlier."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._entries: deque[tuple[float, int]] = deque()
        self._sum = self.largest = 0

    def add(self, amount: int, now_s: float) -> None:
        self._entries.append((now_s, amount))
        self._sum += amount
        while self._entries[0][0] <= now_s - self._span_s:
            self._sum -= self._entries.popleft()[1]
        self.largest = max(self.largest, self._sum)


class Usage:
    """Request weight, requests, connection attempts and refusals so far."""

    def __init__(self) -> None:
        """Start with nothing used."""
        self._weight, self._attempts = _Rolling(MINUTE_S), _Rolling(ATTEMPTS_WINDOW_S)
        self.total_weight = 0
        self.requests: Counter[str] = Counter()  # by endpoint
        self.refusals: Counter[int] = Counter()  # by HTTP status
        self.protocol_violations = 0  # stream connections ended because of what the client sent
        self.largest_subscribe_bytes = 0

    def count_request(self, endpoint: str, weight: int) -> None:
        """Count a REST request."""
        self.requests[endpoint] += 1
        self.total_weight += weight
        self._weight.add(weight, time.monotonic())

    def count_attempt(self) -> None:
        """Count an attempt to connect to a stream."""
        self._attempts.add(1, time.monotonic())

    def summary(self) -> dict[str, object]:
        """Return everything counted, as JSON values."""
        return {
            "largest_weight_in_a_minute": self._weight.largest,
            "largest_attempts_in_5_minutes": self._attempts.largest,
            "total_weight": self.total_weight,
            "requests": dict(self.requests),
            "refusals": {str(status): n for status, n in self.refusals.items()},
            "protocol_violations": self.protocol_violations,
            "largest_subscribe_bytes": self.largest_subscribe_bytes,
        }
