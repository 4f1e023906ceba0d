"""An online linear forecast: the baseline with the same features."""

from typing import Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.evaluation.forecasts import (
    VOLATILITY_FEATURES,
    ForecastSeries,
    HeldOutSpan,
    next_changes,
)
from shared.core.features.registry import feature_set
from shared.core.model.shrinkage import Shrinkage
from shared.core.online.calibration import Calibration
from shared.core.sequence import OPEN_TIME

HALF_LIFE: Final = 8640  # candles until an outcome's weight has halved: a month of 5m
_FORGETTING: Final = 0.5 ** (1 / HALF_LIFE)


class OnlineRidge:
    """Ridge regression by recursive least squares with forgetting, without an intercept.

    Haykin, Adaptive Filter Theory, chapter 10: P is the inverse of the weighted sum of products of
    the inputs, which starts at ridge times the unit matrix.
    """

    def __init__(self, features: int, ridge: float = 100.0, forgetting: float = 1.0) -> None:
        """Start with weights of zero; each later event multiplies an event's by `forgetting`."""
        self._weights, self._inverse = np.zeros(features), np.eye(features) / ridge
        self._forgetting = forgetting

    def predict(self, row: Float64s) -> float:
        """Forecast the outcome of a row of features (features,)."""
        return float(self._weights @ row)

    def learn(self, row: Float64s, outcome: float) -> None:
        """Update the weights with a row of features (features,) and its outcome."""
        projected = self._inverse @ row
        gain = projected / (self._forgetting + float(row @ projected))
        self._weights = self._weights + gain * (outcome - self.predict(row))
        self._inverse = (self._inverse - np.outer(gain, projected)) / self._forgetting


def ridge_forecasts(span: HeldOutSpan, step_ms: int, shrinkage: Shrinkage) -> ForecastSeries:
    """Forecast a held-out span by an online ridge regression on the newest candle's features.

    It learns from the candles before the span as well, and is calibrated as the model is.

    Args:
        span: the held-out candles, with as much history as the model has seen.
        step_ms: the interval.
        shrinkage: settings of the calibration.
    """
    sequence = span.sequence
    _, rows, units = feature_set(VOLATILITY_FEATURES).compute(sequence, step_ms)
    times, changes = sequence[:, OPEN_TIME], next_changes(sequence, step_ms)
    inputs = np.column_stack([rows, np.ones(len(rows))])  # the last column is the intercept
    ridge, calibration = OnlineRidge(inputs.shape[1], forgetting=_FORGETTING), Calibration()
    forecasts = []
    for at in range(len(sequence) - 1):
        output = ridge.predict(inputs[at])
        coefficient = calibration.coefficient(shrinkage)
        is_held_out, is_known = at >= span.start, bool(np.isfinite(changes[at]))
        label = changes[at] / units[at]
        if is_held_out:
            calibrated = output * coefficient * units[at]
            forecasts.append((times[at] + step_ms, output * units[at], calibrated, changes[at]))
        if is_held_out and is_known:
            calibration = calibration.with_outcome(output, label, shrinkage)
        if is_known:
            ridge.learn(inputs[at], label)
    return ForecastSeries(*np.array(forecasts, dtype=np.float64).reshape(-1, 4).T)
