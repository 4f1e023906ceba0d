from shared.log.feed_pace import FeedPace
from tests.support.builders import START_MS, STEP_MS


def pace_after(arrivals_ms: list[float]) -> FeedPace:
    """A pace after closes that follow each other and arrive at these wall times."""
    pace = FeedPace(STEP_MS)
    for at, arrived_ms in enumerate(arrivals_ms):
        pace.add(START_MS + at * STEP_MS, arrived_ms)
    return pace


def test_before_two_closes_were_observed_the_interval_is_expected() -> None:
    pace = pace_after([0.0])

    assert not pace.has_observed
    assert pace.pace_ms == STEP_MS
    assert pace.stale_after_ms == 1.5 * STEP_MS + 10_000


def test_a_fast_clock_makes_silence_stale_within_seconds() -> None:
    pace = pace_after([3_000.0 * at for at in range(6)])

    assert pace.pace_ms == 3_000
    assert pace.stale_after_ms == 7_500


def test_a_pause_and_a_catch_up_do_not_change_the_pace() -> None:
    pace = pace_after([0.0, 3_000.0, 6_000.0, 9_000.0, 60_000.0, 60_010.0, 63_000.0, 66_000.0])

    assert pace.pace_ms == 3_000


def test_a_closes_first_arrival_counts_whatever_the_other_symbols_do() -> None:
    pace = FeedPace(STEP_MS)
    for at in range(3):
        for symbol in range(5):
            pace.add(START_MS + at * STEP_MS, 3_000.0 * at + symbol)

    assert pace.pace_ms == 3_000


def test_closes_that_were_missed_are_not_taken_for_a_slow_feed() -> None:
    pace = FeedPace(STEP_MS)
    pace.add(START_MS, 0.0)
    pace.add(START_MS + 4 * STEP_MS, 12_000.0)

    assert pace.pace_ms == 3_000


def test_a_setting_decides_over_the_pace() -> None:
    assert FeedPace(STEP_MS, 2.0).stale_after_ms == 2_000


def test_a_silence_longer_than_the_pace_explains_is_stale() -> None:
    pace = FeedPace(STEP_MS)
    assert pace.silence_ms(0.0) is None
    assert not pace.is_stale(0.0)

    pace = pace_after([3_000.0 * at for at in range(6)])
    assert pace.silence_ms(15_000.0 + 7_500.0) == 7_500.0
    assert not pace.is_stale(15_000.0 + 7_500.0)
    assert pace.is_stale(15_000.0 + 7_501.0)
