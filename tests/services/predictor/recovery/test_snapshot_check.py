from dataclasses import replace

import pytest

from services.predictor.recovery.snapshot_check import is_committed
from shared.core.online.prediction import Prediction
from tests.support.partition_log import SHORT, process_all, published_by

BEFORE = process_all(SHORT[:70])


@pytest.mark.parametrize(("saved", "is_used"), [(60, True), (70, True), (75, False)])
def test_redis_is_used_only_as_far_as_the_log_was_committed(saved: int, is_used: bool) -> None:
    snapshot = process_all(SHORT[:saved]).state

    assert is_committed(snapshot, 70, published_by(BEFORE.predictions)) == is_used


def test_a_state_of_another_history_is_not_used() -> None:
    other = [replace(p, predicted_change=0.5) for p in BEFORE.predictions]

    assert not is_committed(BEFORE.state, 70, published_by(other))


@pytest.mark.parametrize("published", [BEFORE.predictions[:-1], []])
def test_redis_that_runs_ahead_of_what_was_published_is_not_used(
    published: list[Prediction],
) -> None:
    assert not is_committed(BEFORE.state, 70, published_by(published))
