"""Which symbol is compared with REST next."""

from services.producer.finality.candle_memory import CandleMemory
from services.producer.finality.clock_estimate import ClockReading
from services.producer.finality.reconciliation_schedule import (
    HOLE_MS,
    ReconciliationSchedule,
)

STEP_MS, AFTER_MS = 300_000, 900_000
PACE_S = 0.2  # where 1,800 requests a minute are allowed
START_MS = 1_735_689_600_000


class ReconciledMarket:
    """Symbols that close together; the log has a hole in each now and then, for ever."""

    def __init__(self, symbols: int, speed: float, hole_every: int) -> None:
        self._memory = CandleMemory(STEP_MS)
        self._schedule = ReconciliationSchedule(self._memory, STEP_MS, AFTER_MS, lambda: 1_800.0)
        self._names = [f"S{at:04}USDT" for at in range(symbols)]
        self._speed, self._hole_every, self._now_s, self._closed = speed, hole_every, 0.0, 0
        self.compared_s = dict.fromkeys(self._names, 0.0)
        self.longest_s = 0.0
        self.requests = 0

    def run(self, candles: int) -> None:
        while self._closed < candles:
            self._now_s += PACE_S
            self._close_candles()
            self._ask()

    def _reading(self) -> ClockReading:
        elapsed_ms = int(self._now_s * 1000 * self._speed)
        return ClockReading(START_MS + elapsed_ms, START_MS + elapsed_ms, True, elapsed_ms)

    def _close_candles(self) -> None:
        while self._now_s * 1000 * self._speed >= (self._closed + 1) * STEP_MS:
            open_ms = START_MS + self._closed * STEP_MS
            for at, name in enumerate(self._names):
                if (at + self._closed) % self._hole_every == 0:
                    check_ms = open_ms + STEP_MS + HOLE_MS
                    self._memory.add_hole(name, open_ms, open_ms + STEP_MS, check_ms)
                    self._schedule.on_hole(name, check_ms)
                else:
                    self._memory.add(name, open_ms, b"{}", open_ms + STEP_MS + AFTER_MS)
                    self._schedule.on_candle(name, open_ms + STEP_MS, is_young=False)
            self._closed += 1

    def _ask(self) -> None:
        reading = self._reading()
        request = self._schedule.take_due(reading, self._now_s)
        if request is None:
            return
        self.requests += 1
        if request.until_ms is None:
            self.longest_s = max(self.longest_s, self._now_s - self.compared_s[request.symbol])
            self.compared_s[request.symbol] = self._now_s
        self._schedule.on_answer(request.symbol, (), reading)


def test_holes_that_nobody_can_fill_do_not_keep_other_candles_from_being_compared() -> None:
    market = ReconciledMarket(symbols=300, speed=60.0, hole_every=20)

    market.run(candles=100)

    # 300 symbols at 5 requests a second take 60 s; without a turn of their own, they never came.
    longest_s = max(market.longest_s, *(market._now_s - at for at in market.compared_s.values()))
    assert longest_s < 2.5 * 60


def test_a_hole_among_the_newest_candles_costs_no_request_beside_the_sweeps() -> None:
    without, with_holes = (
        ReconciledMarket(20, 1.0, hole_every=10**9),
        ReconciledMarket(20, 1.0, hole_every=50),
    )

    for market in (without, with_holes):
        market.run(candles=90)

    assert with_holes.requests < 1.5 * without.requests
