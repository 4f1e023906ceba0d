"""Stay within Binance's limit of request weight."""

import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from shared.core.errors import Unavailable

WEIGHT_HEADER: Final = "x-mbx-used-weight-1m"
DEFAULT_WEIGHT_PER_MINUTE: Final = 6000
MAX_WEIGHT_SHARE: Final = 0.8  # the rest is for others behind the same address
WEIGHT_PAUSE_S: Final = 5.0  # the count starts anew each minute


class RateLimiter:
    """The request weight that Binance counts per IP address; one for all REST clients."""

    def __init__(self, stop: threading.Event) -> None:
        """Start with no weight used; `stop` ends every wait."""
        self._stop = stop
        self._limit = DEFAULT_WEIGHT_PER_MINUTE
        self._not_before_s = 0.0
        self.used = 0

    def acquire(self) -> None:
        """Wait until a request is allowed.

        Raises:
            Unavailable: the process stops first.
        """
        while (wait_s := self._not_before_s - time.monotonic()) > 0:
            if self._stop.wait(wait_s):
                raise Unavailable("stopping: no more requests are sent to the exchange")

    def update(self, headers: Mapping[str, str]) -> None:
        """Store the weight that Binance reports; pause when it nears the limit."""
        try:
            self.used = int(headers[WEIGHT_HEADER])
        except (KeyError, ValueError):
            return
        if self.used >= self._limit * MAX_WEIGHT_SHARE:
            self.pause(WEIGHT_PAUSE_S)

    def pause(self, seconds: float) -> None:
        """Allow no request for so long."""
        self._not_before_s = max(self._not_before_s, time.monotonic() + seconds)

    def set_limit(self, rate_limits: Any) -> None:
        """Store the limit that `rateLimits` of `exchangeInfo` names."""
        for limit in rate_limits if isinstance(rate_limits, list) else ():
            if limit.get("rateLimitType") == "REQUEST_WEIGHT" and limit.get("interval") == "MINUTE":
                self._limit = int(limit["limit"]) // int(limit.get("intervalNum", 1))
