"""The online linear forecast is ridge regression, one row at a time."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from shared.core.evaluation.online_ridge import OnlineRidge


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
