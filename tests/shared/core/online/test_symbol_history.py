"""Promotions and amendments leave what follows from the candles kept, and nothing else."""

import numpy as np

from shared.core.online.calibration import Calibration
from shared.core.online.partition import fold
from shared.core.records import Amendment
from shared.core.sequence import SEQUENCE_LENGTH
from tests.shared.core.online.models import MODEL, MODELS, OTHER, RETURNS, WINDOW
from tests.support.builders import (
    CONTEXT,
    START_MS,
    STEP_MS,
    a_candle,
    a_promotion,
    a_walk,
    applied,
    candles,
    fold_all,
)


def test_a_promotion_keeps_the_sequence_alone() -> None:
    state, _ = fold_all([a_promotion(MODEL), *candles(a_walk(WINDOW + 5))], MODELS)

    promoted = fold(state, a_promotion(OTHER), state.next_offset, OTHER, CONTEXT)

    before, after = state.symbols["BTCUSDT"], promoted.symbols["BTCUSDT"]
    np.testing.assert_array_equal(after.sequence, before.sequence)
    assert after.model_version == OTHER.version
    assert after.learner is None
    assert after.scores.n == 0
    assert after.pending is None
    assert after.scaler is None


def test_a_promotion_restarts_features_and_calibration_from_the_candles_kept() -> None:
    records = [a_promotion(RETURNS), *candles(a_walk(WINDOW + 20))]
    state, _ = fold_all([*records, a_promotion(RETURNS)], MODELS)
    again, _ = fold_all([*records[1:], a_promotion(RETURNS)], MODELS)

    one, other = state.symbols["BTCUSDT"], again.symbols["BTCUSDT"]

    assert one.calibration == other.calibration == Calibration()
    assert one.features is not None
    assert other.features is not None
    assert (one.features.carry, one.features.rows.tobytes()) == (
        other.features.carry,
        other.features.rows.tobytes(),
    )


def test_later_windows_see_an_amendment_but_nothing_is_learnt_from_it() -> None:
    closes = a_walk(WINDOW + 3)
    records = candles(closes)
    log = [a_promotion(MODEL), *records[: WINDOW + 1]]
    state, _ = fold_all(log, MODELS)

    amendment = Amendment(a_candle(WINDOW, closes[WINDOW] * 1.01))
    change = fold(state, amendment, state.next_offset, MODEL, CONTEXT)
    amended = applied(state, change)
    after = fold(amended, records[WINDOW + 1], amended.next_offset, MODEL, CONTEXT)
    next_one = after.prediction

    assert change.prediction is None
    assert amended.symbols["BTCUSDT"].last_close == closes[WINDOW] * 1.01
    assert next_one is not None
    assert next_one.loss is None
    assert next_one.steps == 0 + state.symbols["BTCUSDT"].learner.steps  # type: ignore[union-attr]
    assert after.symbols["BTCUSDT"].scores == state.symbols["BTCUSDT"].scores


def test_a_sequence_keeps_the_longest_window_and_no_more() -> None:
    state, _ = fold_all(candles(a_walk(SEQUENCE_LENGTH + 3)), MODELS)

    sequence = state.symbols["BTCUSDT"].sequence
    assert len(sequence) == SEQUENCE_LENGTH
    assert sequence[0, 0] == START_MS + 3 * STEP_MS
