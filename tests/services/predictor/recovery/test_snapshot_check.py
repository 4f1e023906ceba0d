from dataclasses import replace

import pytest

from services.predictor.recovery.prediction_tail import PublishedTail
from services.predictor.recovery.snapshot_check import is_committed
from shared.core.online.prediction import Prediction
from tests.support.partition_log import (
    EVENTFUL,
    FIRST,
    SHORT,
    candles_of,
    log_of,
    process_all,
    promotion_bytes,
    published_by,
)

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


@pytest.mark.parametrize("saved", range(60, len(EVENTFUL)))
def test_a_symbol_that_ended_and_began_anew_does_not_make_redis_useless(saved: int) -> None:
    snapshot = process_all(EVENTFUL[:saved]).state
    predictions = process_all(EVENTFUL).predictions

    published = published_by([p for p in predictions if p.source_offset < saved])

    assert is_committed(snapshot, saved, published)


def test_a_prediction_from_before_the_tail_is_told_by_its_offset_not_its_time() -> None:
    """The tail has an old symbol's history; the other symbol's last prediction lies before it."""
    younger = [*candles_of("AAAUSDT", 1_000, 1_020, 1), (1_020, promotion_bytes(FIRST))]
    younger += candles_of("AAAUSDT", 1_020, 1_022, 1)
    log = log_of([*younger, *candles_of("BBBUSDT", 0, 30, 2)])
    whole = process_all(log)
    tail = [p for p in whole.predictions if p.symbol == "BBBUSDT"]

    published = PublishedTail({"BBBUSDT": tail[-1]}, oldest=tail[0])

    assert is_committed(whole.state, len(log), published)
