"""How counters and levels have changed in the last minutes."""

from hypothesis import given
from hypothesis import strategies as st

from services.dashboard.cluster.trends import Series, Trends

ABORTS = Series("aborts", "a")
LAG = Series("lag", "0")
MINUTE_MS = 60_000


def test_growth_is_what_was_counted_within_the_window() -> None:
    trends = Trends(window_ms=3 * MINUTE_MS)

    for minute, value in enumerate([10.0, 15.0, 16.0, 16.0, 20.0]):
        trends.add(minute * MINUTE_MS, {ABORTS: value})

    assert trends.growth("aborts") == 5.0


def test_a_service_that_starts_again_counts_from_zero() -> None:
    trends = Trends()

    for at, value in enumerate([50.0, 51.0, 2.0]):
        trends.add(at, {ABORTS: value})

    assert trends.growth("aborts") == 3.0


def test_a_service_that_did_not_answer_once_adds_nothing() -> None:
    trends = Trends()
    other = Series("aborts", "b")

    trends.add(0, {ABORTS: 10.0, other: 20.0})
    trends.add(1, {ABORTS: 10.0, other: None})
    trends.add(2, {ABORTS: 10.0, other: 20.0})

    assert trends.growth("aborts") == 0.0


def test_a_level_is_not_judged_before_it_is_known_for_so_long() -> None:
    trends = Trends()
    trends.add(0, {LAG: 100.0})
    trends.add(MINUTE_MS - 1, {LAG: 200.0})

    assert trends.lowest_since(LAG, MINUTE_MS) is None
    assert trends.change_since(LAG, MINUTE_MS) is None


def test_a_level_has_its_lowest_value_and_its_change() -> None:
    trends = Trends()
    for at, value in enumerate([500.0, 100.0, 40.0, 300.0]):
        trends.add(at * MINUTE_MS // 2, {LAG: value})

    assert trends.lowest_since(LAG, MINUTE_MS) == 40.0
    assert trends.change_since(LAG, MINUTE_MS) == 200.0


@given(st.lists(st.floats(0, 1e6), max_size=30))
def test_growth_is_never_negative(values: list[float]) -> None:
    trends = Trends()
    for at, value in enumerate(values):
        trends.add(at, {ABORTS: value})

    assert trends.growth("aborts") >= 0.0
    assert trends.has("aborts") == bool(values)
