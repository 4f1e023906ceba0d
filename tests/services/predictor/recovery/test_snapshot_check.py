from dataclasses import replace

from services.predictor.recovery.snapshot_check import usable_state
from tests.support.partition_log import PROFILE, SHORT, process_all, published_by, snapshot_of


def test_redis_is_used_only_as_far_as_the_log_was_committed() -> None:
    before = process_all(SHORT[:70])
    published = published_by(before.predictions)

    assert usable_state(snapshot_of(before.state), 70, published, PROFILE) is not None
    assert (
        usable_state(snapshot_of(process_all(SHORT[:60]).state), 70, published, PROFILE) is not None
    )
    assert usable_state(snapshot_of(process_all(SHORT[:75]).state), 70, published, PROFILE) is None
    assert usable_state(None, 70, published, PROFILE) is None


def test_a_state_of_another_history_is_not_used() -> None:
    before = process_all(SHORT[:70])
    other = [replace(p, predicted_change=0.5) for p in before.predictions]

    assert usable_state(snapshot_of(before.state), 70, published_by(other), PROFILE) is None


def test_redis_that_runs_ahead_of_what_was_published_is_not_used() -> None:
    before = process_all(SHORT[:70])

    assert (
        usable_state(snapshot_of(before.state), 70, published_by(before.predictions[:-1]), PROFILE)
        is None
    )
    assert usable_state(snapshot_of(before.state), 70, published_by([]), PROFILE) is None
