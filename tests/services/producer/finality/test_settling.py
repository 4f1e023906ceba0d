from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.producer.backfill.checked_page import CheckedPage
from services.producer.backfill.page_check import check_page
from services.producer.backfill.sequencer import (
    KlineOrigin,
    ReceivedCandle,
    ReceivedKline,
    UnreadableKline,
)
from services.producer.events import RestResponse
from services.producer.finality.clock_estimate import ClockReading
from services.producer.finality.settling import RowSettling

STEP_MS = 300_000
START_MS = 1_735_689_600_000
FINAL, PROVISIONAL = b'{"close":"2"}', b'{"close":"1"}'


def row(at: int, value: bytes = FINAL) -> ReceivedCandle:
    return ReceivedCandle("BTCUSDT", START_MS + at * STEP_MS, 1.0, value, "rest", 0)


def unreadable(at: int) -> UnreadableKline:
    origin = KlineOrigin(b"", "rest", 0)
    return UnreadableKline("BTCUSDT", START_MS + at * STEP_MS, "bad_field", "", origin)


@dataclass
class Rest:
    """A REST service whose newest row is open, and whose closed rows settle after some time."""

    settles_after_s: float = 0.0
    ahead_ms: int = 0  # of the clock that the page is judged by
    is_corroborated: bool = True
    shows_open_row: bool = True
    settling: RowSettling = field(default_factory=lambda: RowSettling(STEP_MS))

    def rows(self, now_s: float) -> list[ReceivedKline]:
        newest = int(now_s * 1000) // STEP_MS
        closed = [
            row(at, FINAL if now_s - (at + 1) * 300 >= self.settles_after_s else PROVISIONAL)
            for at in range(newest)
        ]
        return [*closed, row(newest, b"%f" % now_s)] if self.shows_open_row else [*closed]

    def read(self, now_s: float, rows: list[ReceivedKline] | None = None) -> CheckedPage:
        """Return the final part of a page that is read so long after the start."""
        told_ms = START_MS + int(now_s * 1000) + self.ahead_ms
        asked = ClockReading(told_ms, told_ms, self.is_corroborated, int(now_s * 1000))
        shown = self.rows(now_s) if rows is None else rows
        response = RestResponse("BTCUSDT", START_MS, shown, False, asked=asked)
        page = check_page(response, STEP_MS)
        assert isinstance(page, CheckedPage)
        return self.settling.settle(page, response)


def numbers(page: CheckedPage) -> list[int]:
    return [(each.open_time_ms - START_MS) // STEP_MS for each in page.candles]


def test_in_mid_candle_all_but_the_open_row_are_final_at_once() -> None:
    page = Rest().read(5 * 300 + 150)

    assert numbers(page) == [0, 1, 2, 3, 4]
    assert page.until_ms == START_MS + 5 * STEP_MS


def test_just_after_a_close_the_last_closed_row_must_be_read_twice() -> None:
    rest = Rest()

    assert numbers(rest.read(1_501)) == [0, 1, 2, 3]
    assert numbers(rest.read(1_503)) == [0, 1, 2, 3]
    assert numbers(rest.read(1_505.9)) == [0, 1, 2, 3]
    assert numbers(rest.read(1_506.1)) == [0, 1, 2, 3, 4]


@given(
    st.floats(0.0, 6.0),
    st.floats(0.0, 8.0),
    st.lists(st.floats(0.5, 4.0), min_size=12, max_size=12),
    st.booleans(),
)
def test_rows_that_settle_within_seconds_are_taken_with_their_final_value(
    settles_after_s: float, first_s: float, waits_s: list[float], is_corroborated: bool
) -> None:
    rest = Rest(min(settles_after_s, 4.9), is_corroborated=is_corroborated)
    now_s, taken = 300.0 + first_s, list[ReceivedCandle]()
    for wait_s in [0.0, *waits_s]:
        now_s += wait_s
        taken += rest.read(now_s).candles

    assert {each.value for each in taken if each.open_time_ms == START_MS} <= {FINAL}


def test_without_a_second_clock_a_row_that_another_follows_is_final_a_little_later() -> None:
    rest = Rest(ahead_ms=-90_000, is_corroborated=False)

    assert [numbers(rest.read(now_s)) for now_s in (690.0, 695.0, 696.0)] == [[0], [0], [0, 1]]


@pytest.mark.parametrize("ahead_ms", [90_000, 86_400_000])
@pytest.mark.parametrize("shows_open_row", [True, False])
def test_a_lone_clock_that_is_ahead_makes_no_open_row_final(
    ahead_ms: int, shows_open_row: bool
) -> None:
    rest = Rest(ahead_ms=ahead_ms, is_corroborated=False)
    quiet = row(3, PROVISIONAL)
    for now_s in range(930, 1_195, 3):
        shown = [row(0), row(1), row(2), quiet] if shows_open_row else [row(0), row(1), row(2)]
        page = rest.read(float(now_s), [*shown])
        assert 3 not in numbers(page)


def test_a_closed_row_that_none_follows_is_final_if_two_clocks_say_so() -> None:
    rest = Rest(shows_open_row=False)

    assert numbers(rest.read(303)) == []
    assert numbers(rest.read(306.5)) == [0]


def test_a_last_row_is_final_without_a_second_clock_if_it_stays_the_same_for_an_interval() -> None:
    rest = Rest(is_corroborated=False, shows_open_row=False)
    shown: list[ReceivedKline] = [row(0)]

    assert numbers(rest.read(295, shown)) == []
    assert numbers(rest.read(610, shown)) == []
    assert numbers(rest.read(630, shown)) == [0]


def test_a_row_of_the_future_is_no_row_and_proves_no_hole() -> None:
    shown: list[ReceivedKline] = [row(0), row(1), row(2), row(288)]

    page = Rest().read(2 * 300 + 150, shown)

    assert numbers(page) == [0, 1]
    assert page.until_ms == START_MS + 2 * STEP_MS


def test_an_unreadable_row_counts_once_it_has_closed() -> None:
    rest = Rest()
    shown: list[ReceivedKline] = [row(0), unreadable(1), row(2)]

    assert not rest.read(600.5, shown).unreadable
    assert set(rest.read(603, shown).unreadable) == {START_MS + STEP_MS}


def test_an_unreadable_last_row_may_be_the_open_one() -> None:
    page = Rest().read(2 * 300 + 100, [row(0), row(1), unreadable(2)])

    assert numbers(page) == [0, 1]
    assert not page.unreadable


def test_a_page_that_the_exchange_cut_goes_on_behind_it() -> None:
    shown: list[ReceivedKline] = [row(0), row(1), row(2)]
    asked = ClockReading(START_MS + 90 * STEP_MS, START_MS + 90 * STEP_MS, is_corroborated=True)
    response = RestResponse("BTCUSDT", START_MS, shown, has_more=True, asked=asked)
    page = check_page(response, STEP_MS)
    assert isinstance(page, CheckedPage)

    settled = RowSettling(STEP_MS).settle(page, response)

    assert numbers(settled) == [0, 1, 2]
    assert settled.has_more


@given(
    late_ms=st.integers(1, STEP_MS - 1),
    late=st.integers(0, 5),
    now_s=st.floats(0, 1800),
    is_corroborated=st.booleans(),
)
def test_a_page_ends_on_the_grid_where_a_row_is_off_it(
    late_ms: int, late: int, now_s: float, is_corroborated: bool
) -> None:
    rest, rows = Rest(is_corroborated=is_corroborated), list[ReceivedKline]()
    for at in range(6):
        off_grid = replace(unreadable(at), open_time_ms=START_MS + at * STEP_MS + late_ms)
        rows.append(off_grid if at == late else row(at))

    page = rest.read(now_s, rows)

    assert page.until_ms % STEP_MS == 0
    assert all(candle.open_time_ms < page.until_ms for candle in page.candles)
