"""Limits of a client: request weight, and messages on a stream. PURE: the clock is an argument."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

WEIGHT_PER_MINUTE: Final = 6000
MAX_REFUSALS: Final = 10  # in a minute, before a ban; Binance does not publish its own figure
BAN_S: Final = 120.0  # the shortest ban that Binance documents
MESSAGES_PER_SECOND: Final = 5
ATTEMPTS: Final = 300  # to connect to a stream, within
ATTEMPTS_WINDOW_S: Final = 300.0


class RequestRefused(Exception):
    """Raised when a request or a message is invalid; carries Binance's code and message."""

    def __init__(self, code: int, message: str) -> None:
        """Store the code with the message."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class RateLimitDecision:
    """The HTTP status of a request (200 accepted, 429 refused, 418 banned), and the weight used."""

    status: int
    used_weight: int
    retry_after_s: int


class WeightLimiter:
    """Request weight by the minute; a client that ignores refusals is banned."""

    def __init__(self, limit: int = WEIGHT_PER_MINUTE) -> None:
        """Start with no weight used of a limit by the minute."""
        self.limit = limit
        self._minute = -1
        self._used = 0
        self._refused = 0
        self._banned_until_s = float("-inf")

    def spend(self, weight: int, now_s: float) -> RateLimitDecision:
        """Count a request and decide on it."""
        if int(now_s // 60) != self._minute:
            self._minute, self._used, self._refused = int(now_s // 60), 0, 0
        if now_s < self._banned_until_s:
            return RateLimitDecision(418, self._used, math.ceil(self._banned_until_s - now_s))
        self._used += weight
        if self._used <= self.limit:
            return RateLimitDecision(200, self._used, 0)
        self._refused += 1
        if self._refused > MAX_REFUSALS:
            self._banned_until_s = now_s + BAN_S
            return RateLimitDecision(418, self._used, math.ceil(BAN_S))
        return RateLimitDecision(429, self._used, math.ceil(60 - now_s % 60))


class AttemptLimiter:
    """Counts the attempts of a client to connect to a stream."""

    def __init__(self) -> None:
        """Start with no attempt."""
        self._times: deque[float] = deque(maxlen=ATTEMPTS + 1)

    def accept(self, now_s: float) -> bool:
        """Count an attempt; return False if it is one too many within five minutes."""
        self._times.append(now_s)
        return len(self._times) <= ATTEMPTS or now_s - self._times[0] >= ATTEMPTS_WINDOW_S


class MessageRateLimiter:
    """Counts a client's frames on one stream connection: pings, pongs and messages."""

    def __init__(self) -> None:
        """Start with no frame."""
        self._times: deque[float] = deque(maxlen=MESSAGES_PER_SECOND + 1)

    def accept(self, now_s: float) -> bool:
        """Count a frame; return False if it is one too many within a second."""
        self._times.append(now_s)
        return len(self._times) <= MESSAGES_PER_SECOND or now_s - self._times[0] >= 1
