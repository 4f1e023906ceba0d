"""The request weight that all threads share, and the exchange's bans."""

import logging
import threading
import time
from typing import Final

from services.producer.ports import BanStore, Throttled
from services.producer.rest.requests import Priority
from services.producer.rest.weight_window import WeightWindow
from shared.core.errors import Unavailable

log = logging.getLogger(__name__)

MAX_BAN_S: Final = 3 * 86_400.0
PATIENCE_S: Final = 60.0  # `acquire` waits so long; for a longer ban its caller has other work
STORED_BAN_S: Final = 10.0  # a shorter one is over before the next start
SAME_BAN_S: Final = 1.0  # several threads hear of a ban at about the same time
LIMITS: Final = range(100, 10_000_001)  # of a minute, that are believed: a simulator may allow much
DEFAULT_LIMIT: Final = 6_000


class WeightBudget:
    """Says when a request may be sent; one for all that share the exchange's limit."""

    def __init__(self, share: float, stop: threading.Event) -> None:
        """Start with no weight spent.

        Args:
            share: how much of the exchange's limit may be used in any minute.
            stop: ends every wait.
        """
        self._stop = stop
        self._lock, self._saving = threading.Lock(), threading.Lock()
        self._window = WeightWindow(DEFAULT_LIMIT, share)
        self._banned_until_s = 0.0
        self._bans: BanStore | None = None
        self.used = 0  # as the exchange counts it

    @property
    def allowed(self) -> float:
        """The weight that all requests may use in a minute."""
        return self._window.allowed

    @property
    def ban_s(self) -> float:
        """The seconds until the exchange's ban ends; 0: there is none."""
        return max(0.0, self._banned_until_s - time.monotonic())

    def reserve(self, weight: int, priority: Priority) -> float:
        """Count a request and return 0, or return the seconds until it may be sent."""
        now_s = time.monotonic()
        with self._lock:
            wait_s = max(self._banned_until_s - now_s, self._window.wait_s(weight, priority, now_s))
            if wait_s <= 0:
                self._window.spend(weight, priority, now_s)
        return max(0.0, wait_s)

    def acquire(self, weight: int, priority: Priority = Priority.LIVE) -> None:
        """Wait until a request may be sent, and count it.

        Raises:
            Throttled: a ban lasts longer than PATIENCE_S.
            Unavailable: the process stops first.
        """
        while (wait_s := self.reserve(weight, priority)) > 0:
            self.check_ban(PATIENCE_S)
            if self._stop.wait(wait_s):
                raise Unavailable("stopping: no more requests are sent to the exchange")

    def check_ban(self, patience_s: float = 0.0) -> None:
        """Raise Throttled if the exchange has banned this address for longer than `patience_s`."""
        banned_s = self.ban_s
        if banned_s > patience_s:
            message = f"banned by the exchange: sending nothing for {banned_s:.0f} s"
            raise Throttled(message, banned_s)

    def report_used(self, used: int) -> None:
        """Take the weight that the exchange counts in its minute, of all at this address."""
        with self._lock:
            self.used = used
            self._window.report_used(used, time.monotonic())

    def set_limit(self, limit: int | None) -> None:
        """Take the exchange's limit of a minute; one that cannot be right is ignored."""
        if limit is not None and limit in LIMITS:
            self._window.limit = limit

    def ban(self, seconds: float) -> None:
        """Send nothing for so long, not even after a restart."""
        with self._saving:
            if not self._pause(seconds) or seconds < STORED_BAN_S:
                return
            log.warning("the exchange has banned this address for %.0f s", seconds)
            if self._bans is None:
                return
            try:
                self._bans.save(time.time_ns() // 1_000_000 + int(seconds * 1000))
            except Unavailable as error:
                log.warning("the exchange's ban will be forgotten at a restart: %s", error)

    def keep_bans(self, bans: BanStore) -> None:
        """Wait out the ban that is stored, and store each new one.

        Raises:
            Unavailable: the store does not answer.
        """
        left_s = ((bans.load() or 0) - time.time_ns() // 1_000_000) / 1000
        self._bans = bans
        if left_s > 0 and self._pause(min(MAX_BAN_S, left_s)):
            log.warning("banned by the exchange before this start: waiting %.0f s", left_s)

    def _pause(self, seconds: float) -> bool:
        """Send nothing for so long; return whether that is news."""
        until_s = time.monotonic() + seconds
        with self._lock:
            is_news = until_s > self._banned_until_s + SAME_BAN_S
            self._banned_until_s = max(self._banned_until_s, until_s)
        return is_news
