"""When a replica counts as behind the log."""

from services.predictor.lag_watch import BEHIND_S, LagWatch


def test_a_partition_that_was_taken_over_is_behind_until_it_is_at_the_end() -> None:
    watch = LagWatch()

    watch.update({0: 12_000, 1: None}, 0.0)
    assert watch.problem(0.0) == (
        "symbol groups [0, 1] are 12,000 records behind the end of the log"
    )

    watch.update({0: 0, 1: 0}, 1.0)
    assert watch.problem(1.0) is None
    assert not watch.is_behind


def test_a_close_is_no_lag_and_a_minute_of_it_is_one() -> None:
    watch = LagWatch()
    watch.update({0: 0, 1: 0}, 0.0)

    watch.update({0: 500, 1: 3}, 300.0)
    assert watch.is_behind
    assert watch.problem(300.0 + BEHIND_S) is None
    watch.update({0: 400, 1: 0}, 301.0 + BEHIND_S)

    assert watch.problem(301.0 + BEHIND_S) == (
        "symbol groups [0] are 400 records behind the end of the log"
    )


def test_a_partition_that_was_given_up_is_forgotten() -> None:
    watch = LagWatch()
    watch.update({0: 5}, 0.0)

    watch.update({}, 1.0)

    assert watch.problem(1.0) is None
