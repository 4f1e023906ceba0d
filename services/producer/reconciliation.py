"""Compare the log with REST, long after the closes. PURE: the clocks are arguments.

An exchange may revise a candle, announce a provisional close before the final one, or lack candles
for a while. So each symbol is requested again from time to time, and what differs is corrected in
the open:

1. Sweep: once a candle has settled for long, all newest candles of its symbol are compared, with
   one request. The symbols' turns are spread evenly in time.
2. Recheck: a value of REST that was read shortly after the close is compared again, after 20 s and
   after a minute. A hole is looked at after a minute, then after twice as long each time, for a
   week.
3. What differs must be read twice with the same value, some seconds apart. Then it is an amendment,
   or a fill if the log has a gap there.
4. A candle is amended a few times at most: an exchange that flips between two values cannot fill
   the log.

There is one request at a time. Times without another unit in their name are the exchange's, in
milliseconds; `now_s` is the monotonic clock's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from services.producer.candle_memory import MAX_CANDLES_OF_SYMBOL, CandleMemory, Hole, LogTail
from services.producer.checked_page import CheckedPage
from services.producer.clock_estimate import ClockReading
from services.producer.requests import KlineRequest, Priority
from services.producer.sequencer import CorrectedCandle, LogEntry, ReceivedCandle
from shared.core.records import Gap

YOUNG_MS: Final = (20_000, 60_000)  # after its end, a value that REST gave soon is compared again
HOLE_MS: Final = 60_000  # after it was written, a hole is checked
CONFIRM_MS: Final = 5_000  # between two readings of a difference
MAX_READINGS: Final = 4  # in a row, of a difference that is not confirmed
MIN_PACE_S: Final = 0.2  # 300 requests a minute are a tenth of Binance's weight limit
SPREAD: Final = 0.8  # of the time between two sweeps of a symbol: the rest is reserve
ANSWER_S: Final = 120.0  # a request without an answer is taken for lost
MAX_STREAM_AMENDMENTS, MAX_AMENDMENTS = 3, 6  # of one candle: by the stream, and by both
MAX_HOLE_WAIT_MS, MAX_HOLE_AGE_MS = 6 * 3_600_000, 7 * 86_400_000
MAX_LATE: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A value of REST that differs from the log's, and when it was first read."""

    value: bytes
    elapsed_ms: int


@dataclass(slots=True)
class _Plan:
    """When to request a symbol.

    `young_ms` holds when values that were read shortly after the close are to be compared.
    """

    sweep_ms: float = inf
    recheck_ms: float = inf
    young_ms: set[int] = field(default_factory=set)
    asked_ms: int = 0
    readings: int = 0
    suspects: dict[int, _Suspect] = field(default_factory=dict)


class Reconciler:
    """Says what to request, and which corrections follow from the answers."""

    def __init__(self, interval_ms: int, after_ms: int) -> None:
        """Start without candles.

        Args:
            interval_ms: milliseconds between two open times.
            after_ms: how long after its end a candle is compared, and how often a symbol is swept.
        """
        self._interval_ms, self._after_ms = interval_ms, after_ms
        self.logged = CandleMemory(interval_ms)
        self._plans: dict[str, _Plan] = {}
        self._awaited: tuple[str, float] | None = None  # the symbol requested, and when
        self._next_s, self._next_sweep_ms = 0.0, 0
        self._late: dict[tuple[str, int], ReceivedCandle] = {}
        self._corrections: list[CorrectedCandle] = []
        self.compared = 0  # candles

    # -- what the log gets --------------------------------------------------------------------

    def on_written(self, entries: Iterable[LogEntry], reading: ClockReading) -> None:
        """Take what was committed to the log."""
        for entry in entries:
            if isinstance(entry, ReceivedCandle):
                self._on_candle(entry, reading)
            elif isinstance(entry, CorrectedCandle):
                self._on_correction(entry.candle)
            elif isinstance(entry, Gap):
                self.add_hole(entry, reading.now_ms + HOLE_MS)

    def add_hole(self, gap: Gap, check_ms: int) -> None:
        """Take a gap of the log, to be looked at from a time on."""
        span_ms = gap.from_open_time_ms, gap.until_open_time_ms
        self.logged.add_hole(gap.symbol, *span_ms, check_ms)
        self._recheck(self._plan(gap.symbol), check_ms)

    def forget(self, entries: Iterable[LogEntry]) -> None:
        """Drop the candles whose correction may be in the log or not."""
        for entry in entries:
            if isinstance(entry, CorrectedCandle):
                self.logged.forget(entry.symbol, entry.candle.open_time_ms)

    def unfollow(self, symbol: str) -> None:
        """Drop a symbol."""
        self._plans.pop(symbol, None)
        self.logged.forget(symbol)

    def _on_candle(self, candle: ReceivedCandle, reading: ClockReading) -> None:
        symbol, open_ms = candle.symbol, candle.open_time_ms
        end_ms, is_rest = open_ms + self._interval_ms, candle.source == "rest"
        compare_ms = end_ms + (YOUNG_MS[0] if is_rest else self._after_ms)
        self.logged.add(symbol, open_ms, candle.value, compare_ms)
        plan = self._plan(symbol)
        plan.sweep_ms = min(plan.sweep_ms, max(end_ms, plan.asked_ms) + self._after_ms)
        for young_ms in YOUNG_MS if is_rest and reading.now_ms < compare_ms else ():
            plan.young_ms.add(end_ms + young_ms)
            self._recheck(plan, end_ms + young_ms)
        late = self._late.get((symbol, open_ms))
        if late is not None and self.logged.differs(symbol, open_ms, late.value):
            self._corrections.append(CorrectedCandle("amendment", late))

    def _on_correction(self, candle: ReceivedCandle) -> None:
        symbol, open_ms = candle.symbol, candle.open_time_ms
        compare_ms = open_ms + self._interval_ms + self._after_ms
        amendments = self.logged.amendments(symbol, open_ms) + 1
        self.logged.add(symbol, open_ms, candle.value, compare_ms, amendments)

    def on_tail(self, tail: LogTail, reading: ClockReading) -> None:
        """Take the end of the log as it was at the start; what was written since is newer."""
        for gap in tail.gaps:
            self.add_hole(gap, reading.now_ms + HOLE_MS)
        for candle in tail.candles:
            if not self.logged.has(candle.symbol, candle.open_time_ms):
                end_ms = candle.open_time_ms + self._interval_ms
                compare_ms = end_ms + self._after_ms
                self.logged.add(
                    candle.symbol, candle.open_time_ms, candle.value, compare_ms, candle.amendments
                )
                plan = self._plan(candle.symbol)
                plan.sweep_ms = min(plan.sweep_ms, compare_ms)

    # -- what the stream says late ------------------------------------------------------------

    def on_stale_kline(self, kline: ReceivedCandle) -> list[CorrectedCandle]:
        """Return the correction that follows from a closed kline that the log has already."""
        symbol, open_ms = kline.symbol, kline.open_time_ms
        if self.logged.lacks(symbol, open_ms):
            return [CorrectedCandle("fill", kline)]
        if not self.logged.has(symbol, open_ms) and len(self._late) < MAX_LATE:
            self._late[symbol, open_ms] = kline  # the first one may be about to be written
        is_allowed = self.logged.amendments(symbol, open_ms) < MAX_STREAM_AMENDMENTS
        if is_allowed and self.logged.differs(symbol, open_ms, kline.value):
            return [CorrectedCandle("amendment", kline)]
        return []

    def take_corrections(self) -> list[CorrectedCandle]:
        """Return the corrections of candles that were written in the last round."""
        taken, self._corrections = self._corrections, []
        self._late.clear()
        return taken

    # -- what REST says -----------------------------------------------------------------------

    def take_due(self, reading: ClockReading, now_s: float) -> KlineRequest | None:
        """Return the next request; None if it is not the time for one."""
        if self._awaited is not None and now_s - self._awaited[1] >= ANSWER_S:
            self.on_failure(self._awaited[0], reading)
        if self._awaited is not None or now_s < self._next_s or not self._plans:
            return None
        self._next_s = now_s + MIN_PACE_S
        request = self._take_recheck(reading) or self._take_sweep(reading)
        if request is not None:
            self._awaited = request.symbol, now_s
        return request

    def on_page(self, page: CheckedPage, reading: ClockReading) -> list[CorrectedCandle]:
        """Return the corrections that follow from an answer.

        Args:
            page: the answer.
            reading: the exchange's time when it was requested.
        """
        self._awaited = None
        plan = self._plans.get(page.symbol)
        if plan is None:
            return []
        corrections = list[CorrectedCandle]()
        for candle in page.candles:
            # The last row may be unfinished, whatever the clocks say.
            if candle.open_time_ms + self._interval_ms < page.until_ms:
                corrections += self._compare(plan, candle, reading)
        self._plan_next(page.symbol, plan, reading)
        return corrections

    def on_failure(self, symbol: str, reading: ClockReading) -> None:
        """Record a request that got no usable answer: the others come first."""
        self._awaited = None
        if (plan := self._plans.get(symbol)) is not None:
            self._plan_next(symbol, plan, reading)

    def _take_recheck(self, reading: ClockReading) -> KlineRequest | None:
        symbol = min(self._plans, key=lambda each: self._plans[each].recheck_ms)
        plan = self._plans[symbol]
        if plan.recheck_ms > reading.closed_ms:
            return None
        plan.recheck_ms = inf
        if plan.suspects:
            return self._request(symbol, min(plan.suspects), max(plan.suspects))
        hole = next(
            (h for h in self.logged.holes(symbol) if h.next_check_ms <= reading.now_ms), None
        )
        if hole is None:
            return self._request_newest(symbol, plan, reading)
        hole.checks += 1
        wait_ms = min(MAX_HOLE_WAIT_MS, HOLE_MS << min(hole.checks, 20))
        hole.next_check_ms = reading.now_ms + wait_ms
        return self._request(symbol, hole.from_ms, hole.until_ms)

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
        newest_ms = reading.closed_ms // self._interval_ms * self._interval_ms
        first_ms = newest_ms - MAX_CANDLES_OF_SYMBOL * self._interval_ms
        from_ms = max(first_ms, self.logged.first_open_ms(symbol) or 0)
        return KlineRequest(symbol, from_ms, priority=Priority.RECONCILIATION)

    def _request(self, symbol: str, from_ms: int, last_ms: int) -> KlineRequest:
        """Return a request; the candle after the last one shows that it has closed."""
        until_ms = last_ms + 2 * self._interval_ms
        return KlineRequest(symbol, from_ms, 0, until_ms, Priority.RECONCILIATION)

    def _compare(
        self, plan: _Plan, row: ReceivedCandle, reading: ClockReading
    ) -> list[CorrectedCandle]:
        """Return a correction if a row differs from the log as it did some seconds ago."""
        symbol, open_ms = row.symbol, row.open_time_ms
        is_old = reading.closed_ms >= open_ms + self._interval_ms + HOLE_MS
        is_fill = is_old and self.logged.lacks(symbol, open_ms)
        is_amendment = (
            self.logged.compare_from_ms(symbol, open_ms) <= reading.closed_ms
            and self.logged.amendments(symbol, open_ms) < MAX_AMENDMENTS
            and self.logged.differs(symbol, open_ms, row.value)
        )
        self.compared += 1
        if not (is_fill or is_amendment):
            plan.suspects.pop(open_ms, None)
            return []
        first = plan.suspects.get(open_ms)
        if first is None or first.value != row.value:
            plan.suspects[open_ms] = _Suspect(row.value, reading.elapsed_ms)
            return []
        if reading.elapsed_ms - first.elapsed_ms < CONFIRM_MS:
            return []
        del plan.suspects[open_ms]
        return [CorrectedCandle("fill" if is_fill else "amendment", row)]

    # -- when to ask again --------------------------------------------------------------------

    def _plan_next(self, symbol: str, plan: _Plan, reading: ClockReading) -> None:
        """Plan the next recheck: of what is suspected, of a young value, or of a hole."""
        plan.readings = plan.readings + 1 if plan.suspects else 0
        if plan.readings >= MAX_READINGS:
            plan.readings = 0
            plan.suspects.clear()
        for hole in [h for h in self.logged.holes(symbol) if self._is_given_up(h, reading)]:
            self.logged.drop_hole(symbol, hole)
        if plan.suspects:
            self._recheck(plan, reading.closed_ms + CONFIRM_MS)
        holes_ms = [hole.next_check_ms for hole in self.logged.holes(symbol)]
        self._recheck(plan, min([*holes_ms, *plan.young_ms], default=inf))

    def _is_given_up(self, hole: Hole, reading: ClockReading) -> bool:
        return hole.until_ms < reading.closed_ms - MAX_HOLE_AGE_MS

    def _recheck(self, plan: _Plan, due_ms: float) -> None:
        plan.recheck_ms = min(plan.recheck_ms, due_ms)

    def _plan(self, symbol: str) -> _Plan:
        return self._plans.setdefault(symbol, _Plan())
