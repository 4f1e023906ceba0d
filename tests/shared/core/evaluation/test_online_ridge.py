"""Online linear forecasts are ridge regressions, one row at a time."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from shared.core.arrays import Float64s
from shared.core.evaluation.forecasts import HeldOutSpan, split_at
from shared.core.evaluation.online_ridge import (
    COLD_RIDGE,
    ONLINE_RIDGE,
    RETURNS_RIDGE,
    OnlineRidge,
    RidgeBaseline,
    ridge_baselines,
)
from shared.core.model.shrinkage import Shrinkage
from tests.support.builders import START_MS, STEP_MS, a_sequence


def test_it_gives_the_weights_of_a_ridge_regression_over_all_rows() -> None:
    random = np.random.default_rng(1)
    rows, outcomes = random.normal(size=(200, 4)), random.normal(size=200)
    online = OnlineRidge(4, ridge=7.0)
    for row, outcome in zip(rows, outcomes, strict=True):
        online.learn(row, float(outcome))

    whole = Ridge(alpha=7.0, fit_intercept=False).fit(rows, outcomes)

    for row in rows[:5]:
        assert online.predict(row) == pytest.approx(float(whole.predict(row[None])[0]))


def test_before_any_row_it_forecasts_zero() -> None:
    assert OnlineRidge(3).predict(np.ones(3)) == 0.0


def a_baseline(*, is_cold: bool) -> RidgeBaseline:
    return RidgeBaseline("returns", is_cold, Shrinkage())


def span_of(sequence: Float64s) -> HeldOutSpan:
    (span,) = split_at({"BTCUSDT": sequence}, START_MS + 200 * STEP_MS)
    return span


def test_a_cold_baseline_forecasts_zero_first_and_one_with_history_does_not() -> None:
    span = span_of(a_sequence(1, 300))

    cold, warm = (a_baseline(is_cold=is_cold).forecast(span, STEP_MS) for is_cold in (True, False))

    assert cold.change[0] == 0.0
    assert warm.change[0] != 0.0
    assert cold.open_time_ms.tolist() == warm.open_time_ms.tolist()
    assert len(cold.change) == 99


def test_a_forecast_knows_nothing_of_the_candle_that_it_is_for() -> None:
    sequence = a_sequence(1, 300)
    changed = sequence.copy()
    changed[250:, 1:5] *= 2.0

    one, other = (
        a_baseline(is_cold=False).forecast(span_of(q), STEP_MS) for q in (sequence, changed)
    )

    assert one.change[:50].tolist() == other.change[:50].tolist()
    assert one.calibrated[:50].tolist() == other.calibrated[:50].tolist()
    assert one.change[50] != other.change[50]


def test_the_baselines_of_a_network_have_its_columns_and_those_of_its_own_candles() -> None:
    assert list(ridge_baselines("returns", Shrinkage())) == [ONLINE_RIDGE, COLD_RIDGE]
    assert list(ridge_baselines("levels", Shrinkage())) == [RETURNS_RIDGE]
