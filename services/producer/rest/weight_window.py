"""How much request weight may be spent now. PURE: the clock is an argument, in seconds.

An exchange limits the weight of the requests that come from one address in a minute, and bans who
ignores it. Others may send requests from the same address, so the weight counts that is

1. spent by this process in the last minute, of any minute, not only of the exchange's, and
2. spent by others, as far as the exchange's count of the weight used is above the own one.

The sum stays below a share of the limit, a smaller one for requests that can wait longer: so the
newest candles find room while a back-fill runs. What can wait is also spread over the minute.
"""

from collections import deque
from math import inf
from typing import Final

from services.producer.rest.requests import Priority

MINUTE_S: Final = 60.0
# The exchange counts a request when it arrives. What arrives within a minute was sent within the
# minute and the longest delay.
DELAY_S: Final = 2.0
BURST_S: Final = 10.0
BURST_SHARE: Final = 1 / 3  # of a minute's weight within BURST_S, for what can wait
REPORT_AGE_S: Final = 15.0  # then the others' weight is unknown: some request must ask again

# Of what live requests may use, counting all requests.
PRIORITY_SHARE: Final = {
    Priority.LIVE: 1.0,
    Priority.BACKFILL: 5 / 6,
    Priority.PRICES: 4 / 6,
    Priority.RECONCILIATION: 4 / 6,
}
RECONCILIATION_SHARE: Final = 1 / 6  # counting reconciliation's requests alone


class WeightWindow:
    """The weight of the requests of the last minute."""

    def __init__(self, limit: int, share: float) -> None:
        """Start with no weight spent.

        Args:
            limit: the exchange's limit of a minute.
            share: how much of it all requests together may use.
        """
        self.limit, self._share = limit, share
        self._minute, self._burst = _SpentWeight(MINUTE_S + DELAY_S), _SpentWeight(BURST_S)
        self._reconciliation = _SpentWeight(MINUTE_S)
        self._others, self._others_until_s = 0, -inf

    @property
    def allowed(self) -> float:
        """The weight that all requests may use in a minute."""
        return self.limit * self._share

    def spend(self, weight: int, priority: Priority, now_s: float) -> None:
        """Count a request that is sent now."""
        self._minute.add(weight, now_s)
        self._burst.add(weight, now_s)
        if priority is Priority.RECONCILIATION:
            self._reconciliation.add(weight, now_s)

    def report_used(self, used: int, now_s: float) -> None:
        """Take the exchange's count of the weight that this address has used in its minute."""
        self._others = max(0, used - self._minute.sum_at(now_s))
        self._others_until_s = now_s + REPORT_AGE_S

    def wait_s(self, weight: int, priority: Priority, now_s: float) -> float:
        """Return the seconds until a request may be sent; 0: now."""
        live = self.allowed
        most = live * PRIORITY_SHARE[priority]
        wait_s = self._wait_in_minute_s(weight, most, now_s)
        if priority is not Priority.LIVE:
            wait_s = max(wait_s, self._burst.wait_s(weight, most * BURST_SHARE, now_s))
        if priority is Priority.RECONCILIATION:
            own = self._reconciliation.wait_s(weight, live * RECONCILIATION_SHARE, now_s)
            wait_s = max(wait_s, own)
        return wait_s

    def _wait_in_minute_s(self, weight: int, most: float, now_s: float) -> float:
        if now_s >= self._others_until_s:
            return self._minute.wait_s(weight, most, now_s)
        if self._others + weight > most:
            return self._others_until_s - now_s
        return self._minute.wait_s(weight, most - self._others, now_s)


class _SpentWeight:
    """The weight spent within the last `span_s` seconds."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._spent: deque[tuple[float, int]] = deque()
        self._sum = 0

    def add(self, weight: int, now_s: float) -> None:
        self._spent.append((now_s, weight))
        self._sum += weight

    def sum_at(self, now_s: float) -> int:
        while self._spent and self._spent[0][0] <= now_s - self._span_s:
            self._sum -= self._spent.popleft()[1]
        return self._sum

    def wait_s(self, weight: int, most: float, now_s: float) -> float:
        """Return the seconds until a weight fits; one above `most` fits when nothing is spent."""
        rest, wait_s = self.sum_at(now_s), 0.0
        for at_s, spent in self._spent:
            if rest + weight <= most:
                break
            rest, wait_s = rest - spent, at_s + self._span_s - now_s
        return wait_s
