"""Decide which symbol to compare with REST, and when. PURE: the clocks are arguments.

1. Sweep: once a candle has settled for long, all newest candles of its symbol are compared, with
   one request. The symbols' turns are spread evenly in time.
2. Recheck: a value of REST that was read shortly after the close is compared again, after 20 s and
   after a minute; a difference is read again some seconds later; a hole is looked at after a
   minute, then after twice as long each time, for a week. A hole that lies among the newest candles
   is looked at in a sweep of its symbol.

There are two requests at a time. Where both are due they take turns, so that many holes after an
outage do not keep other candles from being compared before they are forgotten. Times without
another unit in their name are the exchange's, in milliseconds; `now_s` is the monotonic clock's.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from math import inf
from typing import Final

from services.producer.finality.candle_memory import MAX_CANDLES_OF_SYMBOL, CandleMemory, Hole
from services.producer.finality.clock_estimate import ClockReading
from services.producer.rest.requests import KlineRequest, Priority

YOUNG_MS: Final = (20_000, 60_000)  # after its end, a value that REST gave soon is compared again
HOLE_MS: Final = 60_000  # after it was written, a hole is checked
CONFIRM_MS: Final = 5_000  # between two readings of a difference
MAX_READINGS: Final = 4  # in a row, of differences that are not confirmed
# Of the requests that may be sent: a tenth of the exchange's limit by default.
SHARE_OF_ALLOWED: Final = 1 / 6
SPREAD: Final = 0.8  # of the time between two sweeps of a symbol: the rest is reserve
MAX_AWAITED: Final = 2  # requests at a time
ANSWER_S: Final = 120.0  # a request without an answer is taken for lost
MAX_HOLE_WAIT_MS, MAX_HOLE_AGE_MS = 6 * 3_600_000, 7 * 86_400_000

RequestRate = Callable[[], float]
"""Returns how many requests for klines may be sent in a minute, if there were no others."""


@dataclass(slots=True)
class _Plan:
    """When to request a symbol: when all is to be compared, when something in particular."""

    sweep_ms: float = inf
    recheck_ms: float = inf
    young_ms: set[int] = field(default_factory=set)
    suspected_ms: Collection[int] = ()  # the open times of candles that differ
    asked_ms: int = 0
    readings: int = 0  # in a row with something suspected


class ReconciliationSchedule:
    """Plans one request after the other."""

    def __init__(
        self,
        memory: CandleMemory,
        interval_ms: int,
        after_ms: int,
        klines_per_minute: RequestRate,
    ) -> None:
        """Start without symbols.

        Args:
            memory: what the log has.
            interval_ms: milliseconds between two open times.
            after_ms: how long after its end a candle is compared, and how often a symbol is swept.
            klines_per_minute: what the exchange allows.
        """
        self._memory, self._interval_ms, self._after_ms = memory, interval_ms, after_ms
        self._klines_per_minute = klines_per_minute
        self._plans: dict[str, _Plan] = {}
        self._awaited: dict[str, float] = {}  # the symbols requested, and when
        self._next_s, self._next_sweep_ms = 0.0, 0
        self._is_sweep_next = True

    def on_candle(self, symbol: str, end_ms: int, *, is_young: bool) -> None:
        """Plan to compare a candle; a young one soon as well."""
        plan = self._plan(symbol)
        plan.sweep_ms = min(plan.sweep_ms, max(end_ms, plan.asked_ms) + self._after_ms)
        if is_young:
            plan.young_ms.update(end_ms + each for each in YOUNG_MS)
            plan.recheck_ms = min(plan.recheck_ms, *plan.young_ms)

    def on_hole(self, symbol: str, check_ms: int) -> None:
        """Plan to look at a hole."""
        plan = self._plan(symbol)
        plan.recheck_ms = min(plan.recheck_ms, check_ms)

    def unfollow(self, symbol: str) -> None:
        """Request a symbol no more."""
        self._plans.pop(symbol, None)

    def take_due(self, reading: ClockReading, now_s: float) -> KlineRequest | None:
        """Return the next request; None if it is not the time for one."""
        lost = [each for each, at_s in self._awaited.items() if now_s - at_s >= ANSWER_S]
        for symbol in lost:
            self.on_failure(symbol, reading)
        if len(self._awaited) >= MAX_AWAITED or now_s < self._next_s or not self._plans:
            return None
        self._next_s = now_s + 60.0 / (SHARE_OF_ALLOWED * self._klines_per_minute())
        request = self._take_in_turn(reading)
        if request is not None:
            self._awaited[request.symbol] = now_s
        return request

    def on_answer(
        self, symbol: str, suspected_ms: Collection[int], reading: ClockReading
    ) -> Collection[int]:
        """Record an answer; return what is to be read again, nothing if that was often enough.

        Args:
            symbol: the symbol.
            suspected_ms: the open times of candles that differ.
            reading: the exchange's time when it was requested.
        """
        self._awaited.pop(symbol, None)
        if (plan := self._plans.get(symbol)) is None:
            return ()
        plan.readings = plan.readings + 1 if suspected_ms else 0
        plan.suspected_ms = suspected_ms
        if plan.readings >= MAX_READINGS:
            plan.readings, plan.suspected_ms = 0, ()
        self._plan_recheck(symbol, plan, reading)
        return plan.suspected_ms

    def on_failure(self, symbol: str, reading: ClockReading) -> None:
        """Record a request that got no usable answer."""
        self._awaited.pop(symbol, None)
        if (plan := self._plans.get(symbol)) is not None:
            self._plan_recheck(symbol, plan, reading)

    def _take_in_turn(self, reading: ClockReading) -> KlineRequest | None:
        self._is_sweep_next = not self._is_sweep_next
        if self._is_sweep_next:
            return self._take_sweep(reading) or self._take_recheck(reading)
        return self._take_recheck(reading) or self._take_sweep(reading)

    def _take_recheck(self, reading: ClockReading) -> KlineRequest | None:
        symbol = min(self._plans, key=lambda each: self._plans[each].recheck_ms)
        plan = self._plans[symbol]
        if plan.recheck_ms > reading.closed_ms:
            return None
        plan.recheck_ms = inf
        if plan.suspected_ms:
            return self._request_span(symbol, min(plan.suspected_ms), max(plan.suspected_ms))
        has_candles = self._memory.first_open_ms(symbol) is not None
        from_ms = self._newest_from_ms(symbol, reading) if has_candles else reading.closed_ms
        old = (each for each in self._due_holes(symbol, reading) if each.from_ms < from_ms)
        if (hole := next(old, None)) is None:
            return self._request_newest(symbol, plan, reading)
        _plan_next_check(hole, reading)
        return self._request_span(symbol, hole.from_ms, hole.until_ms)

    def _take_sweep(self, reading: ClockReading) -> KlineRequest | None:
        if reading.elapsed_ms < self._next_sweep_ms:
            return None
        symbol = min(self._plans, key=lambda each: self._plans[each].sweep_ms)
        plan = self._plans[symbol]
        if plan.sweep_ms > reading.closed_ms:
            return None
        spacing_ms = int(self._after_ms * SPREAD / len(self._plans))
        self._next_sweep_ms = reading.elapsed_ms + spacing_ms
        return self._request_newest(symbol, plan, reading)

    def _request_newest(self, symbol: str, plan: _Plan, reading: ClockReading) -> KlineRequest:
        plan.asked_ms, plan.sweep_ms = reading.closed_ms, reading.closed_ms + self._after_ms
        plan.young_ms = {each for each in plan.young_ms if each > reading.closed_ms}
        from_ms = self._newest_from_ms(symbol, reading)
        for hole in self._due_holes(symbol, reading):
            if hole.from_ms >= from_ms:
                _plan_next_check(hole, reading)
        return KlineRequest(symbol, from_ms, priority=Priority.RECONCILIATION)

    def _due_holes(self, symbol: str, reading: ClockReading) -> list[Hole]:
        holes = self._memory.holes(symbol)
        return [each for each in holes if each.next_check_ms <= reading.closed_ms]

    def _newest_from_ms(self, symbol: str, reading: ClockReading) -> int:
        """Return the open time from which on a sweep compares a symbol's candles."""
        newest_ms = reading.closed_ms // self._interval_ms * self._interval_ms
        first_ms = newest_ms - MAX_CANDLES_OF_SYMBOL * self._interval_ms
        return max(first_ms, self._memory.first_open_ms(symbol) or 0)

    def _request_span(self, symbol: str, from_ms: int, last_ms: int) -> KlineRequest:
        """Return a request; the candle after the last one shows that it has closed."""
        until_ms = last_ms + 2 * self._interval_ms
        return KlineRequest(symbol, from_ms, 0, until_ms, Priority.RECONCILIATION)

    def _plan_recheck(self, symbol: str, plan: _Plan, reading: ClockReading) -> None:
        """Plan the next recheck: of what is suspected, of a young value, or of a hole."""
        for hole in [each for each in self._memory.holes(symbol) if self._is_old(each, reading)]:
            self._memory.drop_hole(symbol, hole)
        holes_ms = [each.next_check_ms for each in self._memory.holes(symbol)]
        due_ms = [*holes_ms, *plan.young_ms]
        if plan.suspected_ms:
            due_ms.append(reading.closed_ms + CONFIRM_MS)
        plan.recheck_ms = min([plan.recheck_ms, *due_ms])

    def _is_old(self, hole: Hole, reading: ClockReading) -> bool:
        return hole.until_ms < reading.closed_ms - MAX_HOLE_AGE_MS

    def _plan(self, symbol: str) -> _Plan:
        return self._plans.setdefault(symbol, _Plan())


def _plan_next_check(hole: Hole, reading: ClockReading) -> None:
    hole.checks += 1
    wait_ms = min(MAX_HOLE_WAIT_MS, HOLE_MS << min(hole.checks, 20))
    hole.next_check_ms = reading.closed_ms + wait_ms
