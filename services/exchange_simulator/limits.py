"""How much a client may ask: the budget of request weight, and messages on a stream. `now` is an argument."""

from collections import deque
from dataclasses import dataclass
from typing import Final

WEIGHT_PER_MINUTE: Final = 6000
PATIENCE: Final = (
    10  # refused requests in a minute before the exchange bans; its own figure is not published
)
BAN_S: Final = 120.0  # the shortest ban it documents
MESSAGES_PER_SECOND: Final = 5


@dataclass(frozen=True, slots=True)
class RateLimitDecision:
    """What becomes of a request: 200 answered, 429 refused, 418 banned."""

    status: int
    used_weight: int
    retry_after_s: int


class WeightLimiter:
    """Request weight by the minute. Whoever asks on after refusals is banned."""

    def __init__(self) -> None:
        """Start with nothing used."""
        self._minute = -1
        self._used = 0
        self._refused = 0
        self._banned_until_s = float("-inf")

    def spend(self, weight: int, now_s: float) -> RateLimitDecision:
        """Account for a request."""
        if int(now_s // 60) != self._minute:
            self._minute, self._used, self._refused = int(now_s // 60), 0, 0
        if now_s < self._banned_until_s:
            return RateLimitDecision(418, self._used, _up(self._banned_until_s - now_s))
        self._used += weight
        if self._used <= WEIGHT_PER_MINUTE:
            return RateLimitDecision(200, self._used, 0)
        self._refused += 1
        if self._refused > PATIENCE:
            self._banned_until_s = now_s + BAN_S
            return RateLimitDecision(418, self._used, _up(BAN_S))
        return RateLimitDecision(429, self._used, _up(60 - now_s % 60))


class MessageRate:
    """Counts what a client sends on one stream connection: pings, pongs and messages alike."""

    def __init__(self) -> None:
        """Start with no message."""
        self._times: deque[float] = deque(maxlen=MESSAGES_PER_SECOND + 1)

    def allows(self, now_s: float) -> bool:
        """Account for a message; return False if it is one too many within a second."""
        self._times.append(now_s)
        return len(self._times) <= MESSAGES_PER_SECOND or now_s - self._times[0] >= 1


def _up(seconds: float) -> int:
    return max(1, int(-(-seconds // 1)))
