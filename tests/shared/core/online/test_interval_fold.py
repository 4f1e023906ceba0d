"""Intervals in the fold: published around the calibrated close, from the first prediction on."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.schemas.predictions import decode_prediction, encode_prediction
from shared.core.model.interval_settings import IntervalSettings
from shared.core.online.interval_scores import IntervalScores
from shared.core.online.intervals import intervals, start_intervals
from shared.core.online.model import Model
from shared.core.online.prediction import Prediction
from shared.core.records import Record
from tests.shared.core.online.models import HEAD, MODELS, RETURNS, WINDOW, all_kinds
from tests.support.builders import (
    a_model,
    a_promotion,
    a_walk,
    candles,
    fold_all,
)

OUTER = -1  # the interval of 95 %


def predictions_of(*records: Record) -> list[Prediction]:
    return fold_all(records, MODELS)[1]


@all_kinds
def test_every_prediction_carries_four_intervals_around_its_calibrated_close(
    model: Model,
) -> None:
    predictions = predictions_of(a_promotion(model), *candles(a_walk(60)))

    for prediction in predictions:
        assert [one.coverage for one in prediction.intervals] == [50, 80, 90, 95]
        outer = prediction.intervals[OUTER]
        assert outer.lower_close < prediction.calibrated_close < outer.upper_close
        assert decode_prediction(encode_prediction(prediction)) == prediction


def test_scores_count_the_closes_within_published_bounds() -> None:
    predictions = predictions_of(a_promotion(RETURNS), *candles(a_walk(300)))

    inside = np.zeros(4, dtype=int)
    for before, after in pairwise(predictions):
        inside += [each.lower_close <= after.close <= each.upper_close for each in before.intervals]
    assert predictions[0].interval_scores == IntervalScores()
    assert predictions[-1].interval_scores.covered == tuple(inside)
    assert predictions[-1].interval_scores.n == len(predictions) - 1


def test_a_symbol_without_a_start_has_intervals_of_its_own_size_at_once() -> None:
    """A promotion folds the candles that are kept."""
    calm = 100.0 * np.cumprod(1.0 + np.random.default_rng(1).normal(0, 1e-4, 200))

    *_, first = predictions_of(
        *candles(calm[:-1].tolist()),
        a_promotion(RETURNS),
        *candles(calm[-1:].tolist(), start=199),
    )

    outer, cold = first.intervals[OUTER], intervals(start_intervals(IntervalSettings()), 0.0, 1.0)
    width = outer.upper_change - outer.lower_change
    assert width < 0.3 * (cold[OUTER].upper_change - cold[OUTER].lower_change)


@settings(max_examples=20)
@given(
    st.lists(
        st.tuples(st.integers(0, WINDOW + 40), st.floats(0.001, 1000.0)), min_size=1, max_size=4
    ),
    st.sampled_from([RETURNS, HEAD, a_model()]),
)
def test_bounds_stay_above_zero_and_finite_whatever_a_price_does(
    jumps: list[tuple[int, float]], model: Model
) -> None:
    closes = np.array(a_walk(WINDOW + 41))
    for at, ratio in jumps:
        closes[at:] *= ratio
    closes = np.clip(closes, 1e-6, 1e12)
    models = {**MODELS, model.version: model}

    _, predictions = fold_all([a_promotion(model), *candles(closes.tolist())], models)

    for prediction in predictions:
        bounds = [
            *(one.lower_close for one in reversed(prediction.intervals)),
            *(one.upper_close for one in prediction.intervals),
        ]
        assert bounds[0] > 0.0
        assert bounds == sorted(bounds)
        assert np.isfinite(bounds).all()
        encode_prediction(prediction)


def test_one_absurd_candle_does_not_decide_about_a_loss() -> None:
    closes = np.array(a_walk(300))
    closes[200:] *= 1000.0

    jumped = predictions_of(a_promotion(RETURNS), *candles(closes.tolist()))[-1].interval_scores
    calm = predictions_of(a_promotion(RETURNS), *candles(a_walk(300)))[-1].interval_scores

    assert jumped.pinball_loss < 2.0 * calm.pinball_loss


@pytest.mark.parametrize("ratio", [0.001, 1000.0])
def test_intervals_recover_from_a_redenomination(ratio: float) -> None:
    closes = np.array(a_walk(600))
    closes[300:] *= ratio

    jumped = predictions_of(a_promotion(RETURNS), *candles(closes.tolist()))[-1]
    calm = predictions_of(a_promotion(RETURNS), *candles(a_walk(600)))[-1]

    for after, undisturbed in zip(jumped.intervals, calm.intervals, strict=True):
        width = after.upper_change - after.lower_change
        assert width < 1.5 * (undisturbed.upper_change - undisturbed.lower_change)
