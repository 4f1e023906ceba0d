from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.producer.finality.exchange_clock import ExchangeClock

START_MS = 1_735_689_600_000
STEP_MS = 300_000
DAY_MS = 86_400_000
FAR_MS = [90_000, -90_000, DAY_MS, -DAY_MS]


@dataclass
class SimulatedTime:
    """A monotonic clock, and an exchange whose clock runs at a speed."""

    speed: float = 1.0
    wall_ahead_ms: float = DAY_MS * 365.0  # of the exchange: a simulator of another year
    now_s: float = 1_000.0
    clock: ExchangeClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = ExchangeClock(STEP_MS, lambda: self.now_s, lambda: self.wall_ms)

    @property
    def true_ms(self) -> int:
        return START_MS + int((self.now_s - 1_000.0) * self.speed * 1000)

    @property
    def wall_ms(self) -> float:
        return START_MS + (self.now_s - 1_000.0) * 1000 + self.wall_ahead_ms

    @property
    def error_ms(self) -> tuple[int, int]:
        reading = self.clock.read()
        return reading.now_ms - self.true_ms, reading.closed_ms - self.true_ms

    def hear_rest(self, count: int = 1, ahead_ms: int = 0, every_s: float = 0.3) -> None:
        for _ in range(count):
            self.now_s += every_s
            self.clock.on_rest_time(max(1, self.true_ms + ahead_ms), 0.01)

    def hear_stream(self, ahead_ms: Iterable[int], seconds: float = 3.0) -> None:
        """Hear a message of each symbol, again and again."""
        for _ in range(int(seconds / 0.5)):
            self.now_s += 0.5
            for number, ahead in enumerate(ahead_ms):
                self.clock.on_event_time(f"S{number}USDT", self.true_ms + ahead)


def test_before_anything_was_heard_the_time_is_zero_and_nothing_is_refused() -> None:
    clock = ExchangeClock(STEP_MS)

    assert (clock.read().now_ms, clock.read().closed_ms) == (0, 0)
    assert clock.has_closed(START_MS + DAY_MS)


@given(st.sampled_from([1.0, 5.0, 60.0, 600.0, 4_000.0]), st.floats(0.25, 2.0))
def test_the_rate_of_an_accelerated_exchange_is_found(speed: float, every_s: float) -> None:
    time = SimulatedTime(speed)
    time.hear_rest(16, every_s=every_s)

    time.now_s += 1.0

    assert max(map(abs, time.error_ms)) <= 0.02 * speed * 1000
    assert time.clock.read().elapsed_ms > 0


@given(st.integers(0, 40), st.integers(-(2**45), 2**55), st.floats(0.0, 5.0))
def test_no_single_answer_of_rest_moves_the_clock(
    position: int, wild_ms: int, later_s: float
) -> None:
    time = SimulatedTime()
    time.hear_rest(position + 3)

    time.now_s += 1.0
    time.clock.on_rest_time(wild_ms, 0.01)
    time.now_s += later_s

    assert max(map(abs, time.error_ms)) <= 50


@given(st.integers(1, 2**55), st.integers(1, 40))
def test_no_single_message_of_the_stream_moves_the_clock(wild_ms: int, symbols: int) -> None:
    time = SimulatedTime()
    time.hear_stream([0] * symbols)

    time.clock.on_event_time("S0USDT", wild_ms)

    assert max(map(abs, time.error_ms)) <= 600


@given(st.sampled_from(FAR_MS), st.integers(3, 50))
def test_a_symbol_whose_messages_are_all_wild_moves_nothing(ahead_ms: int, symbols: int) -> None:
    time = SimulatedTime()

    time.hear_stream([ahead_ms, *[0] * symbols])

    assert max(map(abs, time.error_ms)) <= 600


@pytest.mark.parametrize("ahead_ms", FAR_MS)
def test_a_real_exchanges_clock_that_is_wrong_is_outvoted_by_this_machines_and_the_stream(
    ahead_ms: int,
) -> None:
    time = SimulatedTime(wall_ahead_ms=1_500)
    time.hear_rest(6, ahead_ms)

    time.hear_stream([0, 0, 0])

    assert max(map(abs, time.error_ms)) <= 600
    assert time.clock.read().is_corroborated


@pytest.mark.parametrize("ahead_ms", [-60_000, 90_000, DAY_MS])
def test_a_stream_that_lags_or_leads_is_outvoted_by_this_machines_clock_and_rest(
    ahead_ms: int,
) -> None:
    time = SimulatedTime(wall_ahead_ms=-1_500)
    time.hear_rest(6)

    time.hear_stream([ahead_ms] * 20)

    assert max(map(abs, time.error_ms)) <= 600


@pytest.mark.parametrize("ahead_ms", FAR_MS)
def test_without_another_witness_the_later_clock_says_what_is_overdue_the_earlier_what_is_final(
    ahead_ms: int,
) -> None:
    time = SimulatedTime()
    time.hear_rest(6, ahead_ms)

    time.hear_stream([0, 0, 0])

    now_error_ms, closed_error_ms = time.error_ms
    assert abs(now_error_ms - max(0, ahead_ms)) <= 600
    assert abs(closed_error_ms - min(0, ahead_ms)) <= 600
    assert not time.clock.read().is_corroborated


@pytest.mark.parametrize("ahead_ms", [-DAY_MS, DAY_MS])
def test_the_rows_of_rest_tell_which_of_two_clocks_is_a_day_off(ahead_ms: int) -> None:
    time = SimulatedTime()
    time.hear_rest(6, ahead_ms)
    time.clock.on_newest_row(time.true_ms // STEP_MS * STEP_MS)

    time.hear_stream([0, 0, 0])

    assert max(map(abs, time.error_ms)) <= 600


def test_one_page_with_a_row_of_tomorrow_does_not_discredit_a_clock() -> None:
    time = SimulatedTime()
    time.hear_rest(6)
    for _ in range(3):
        time.clock.on_newest_row(START_MS)
    time.clock.on_newest_row(START_MS + DAY_MS)

    time.hear_stream([-90_000] * 3)

    assert time.error_ms[0] <= 600


@pytest.mark.parametrize("ahead_ms", [90_000, DAY_MS])
def test_a_candle_that_ends_in_the_future_has_not_closed_and_is_counted(ahead_ms: int) -> None:
    time = SimulatedTime()
    time.hear_rest(6)
    time.hear_stream([0, 0, 0])

    assert time.clock.has_closed(time.true_ms - STEP_MS)
    assert not time.clock.has_closed(time.true_ms - STEP_MS + ahead_ms)
    assert time.clock.implausible["kline"] == 1


@given(st.lists(st.tuples(st.booleans(), st.integers(-400, 400)), max_size=60))
def test_with_ordinary_jitter_the_clock_hardly_ever_goes_back(
    heard: list[tuple[bool, int]],
) -> None:
    time = SimulatedTime()
    time.hear_rest(6)
    before = time.clock.read()
    for is_rest, jitter_ms in heard:
        time.now_s += 0.5
        if is_rest:
            time.clock.on_rest_time(time.true_ms + jitter_ms, 0.1)
        else:
            time.clock.on_event_time("AAAUSDT", time.true_ms + jitter_ms)
        after = time.clock.read()
        assert after.now_ms >= before.now_ms - 800
        assert after.elapsed_ms > before.elapsed_ms
        before = after


def test_a_clock_that_was_set_is_followed_once_most_readings_agree() -> None:
    time = SimulatedTime()
    time.hear_rest(16, every_s=30.0)

    time.hear_rest(5, DAY_MS, every_s=30.0)

    assert abs(time.error_ms[0] - DAY_MS) <= 100


def test_rests_clock_is_read_often_until_it_is_known_then_rarely() -> None:
    time = SimulatedTime()
    claimed = list[float]()
    for _ in range(1_200):
        time.now_s += 0.1
        if time.clock.claim_reading():
            claimed.append(time.now_s)
            time.clock.on_rest_time(time.true_ms, 0.01)

    assert len(claimed) <= 5 + 120 / 30 + 1
    assert claimed[4] - claimed[0] <= 2.0
