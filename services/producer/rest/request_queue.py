"""Which request for klines is sent next. PURE: the clock is an argument, in seconds.

The most urgent one, the oldest of these, with two exceptions so that one symbol holds up no other:

1. A symbol whose last request failed comes after the others of its priority, and such symbols never
   take more than half of the threads: an answer that hangs keeps its thread for the whole deadline.
2. When the requests of several symbols fail in a row, the exchange itself does not answer: then one
   request at a time finds out whether it does again, with pauses.
"""

from enum import Enum
from typing import Final

from services.producer.rest.requests import KlineRequest, Priority

OUTAGE_SYMBOLS: Final = 3  # that fail in a row
MIN_PROBE_S, MAX_PROBE_S = 0.5, 5.0  # between two requests of an outage


class RequestOutcome(Enum):
    """What became of a request."""

    ANSWERED = "the exchange answered, if only by refusing it"
    FAILED = "there was no usable answer"
    BANNED = "the exchange answers nothing for a while, which tells nothing of the symbol"


_Key = tuple[str, bool]  # the symbol, and whether the request is for its reconciliation
_Lane = dict[_Key, KlineRequest]  # in the order of their arrival


class RequestQueue:
    """Requests that wait, one at most of a symbol, and one more for its reconciliation."""

    def __init__(self, threads: int) -> None:
        """Start empty; `threads` is how many requests may be in flight at once."""
        self._max_suspects = max(1, threads // 2)
        # By urgency, and by whether the symbol's last request failed.
        self._lanes: dict[tuple[Priority, bool], _Lane] = {
            (priority, is_suspect): {} for priority in Priority for is_suspect in (False, True)
        }
        self._suspects: set[str] = set()
        self._in_flight: list[str] = []
        self._outage = _Outage()

    def __len__(self) -> int:
        """Return the number of requests that wait."""
        return sum(map(len, self._lanes.values()))

    def put(self, request: KlineRequest) -> None:
        """Add a request; it takes the place of the one that waits for the same, if it is alike."""
        lane = self._lanes[request.priority, request.symbol in self._suspects]
        if _key(request) not in lane:
            self._remove(request)
        lane[_key(request)] = request

    def drop(self, symbol: str) -> None:
        """Forget a symbol."""
        self._suspects.discard(symbol)
        for lane in self._lanes.values():
            for reconciles in (False, True):
                lane.pop((symbol, reconciles), None)

    def peek(self, now_s: float) -> KlineRequest | None:
        """Return the request to send next; None if none may be sent now."""
        if not self._outage.allows(len(self._in_flight), now_s):
            return None
        suspects = sum(symbol in self._suspects for symbol in self._in_flight)
        for (_, is_suspect), lane in self._lanes.items():
            if lane and (not is_suspect or suspects < self._max_suspects):
                return next(iter(lane.values()))
        return None

    def send(self, request: KlineRequest) -> None:
        """Record that a request is sent."""
        self._remove(request)
        self._in_flight.append(request.symbol)

    def end(self, request: KlineRequest, outcome: RequestOutcome, now_s: float) -> None:
        """Record that a request that was sent is over."""
        self._in_flight.remove(request.symbol)
        if outcome is RequestOutcome.ANSWERED:
            self._suspects.discard(request.symbol)
            self._outage = _Outage()
        elif outcome is RequestOutcome.FAILED:
            self._suspects.add(request.symbol)
            self._outage.add(request.symbol, now_s)

    def _remove(self, request: KlineRequest) -> None:
        for lane in self._lanes.values():
            lane.pop(_key(request), None)


def _key(request: KlineRequest) -> _Key:
    return request.symbol, request.priority is Priority.RECONCILIATION


class _Outage:
    """The symbols that failed in a row, and when to find out whether it is over."""

    def __init__(self) -> None:
        self._symbols: set[str] = set()
        self._not_before_s, self._pause_s = 0.0, MIN_PROBE_S

    def allows(self, in_flight: int, now_s: float) -> bool:
        if len(self._symbols) < OUTAGE_SYMBOLS:
            return True
        return in_flight == 0 and now_s >= self._not_before_s

    def add(self, symbol: str, now_s: float) -> None:
        self._symbols.add(symbol)
        self._not_before_s = now_s + self._pause_s
        if len(self._symbols) >= OUTAGE_SYMBOLS:
            self._pause_s = min(MAX_PROBE_S, 2 * self._pause_s)
