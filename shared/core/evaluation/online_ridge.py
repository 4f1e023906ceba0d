"""An online linear forecast: what a simple method gives on the same features, for comparison in reports."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.evaluation.backtest import VOLATILITY, next_changes
from shared.core.evaluation.comparison import ForecastSeries
from shared.core.features.registry import feature_set
from shared.core.model.shrinkage import Shrinkage
from shared.core.online.calibration import Calibration
from shared.core.sequence import OPEN_TIME

HALF_LIFE: Final = 8640  # candles until what was learnt counts half: a month of 5m
_FORGETTING: Final = 0.5 ** (1 / HALF_LIFE)


@dataclass(slots=True)
class OnlineRidge:
    """Ridge regression by recursive least squares, with forgetting; a constant belongs to the features.

    Haykin, Adaptive Filter Theory, chapter 10: P is the inverse of the weighted sum of products of the inputs, which
    starts at ridge times the unit matrix.
    """

    features: int
    ridge: float = 100.0
    forgetting: float = 1.0  # what an event's weight is multiplied with by each later one
    _weights: Float64s = field(init=False)
    _inverse: Float64s = field(init=False)

    def __post_init__(self) -> None:
        """Start from no knowledge."""
        self._weights = np.zeros(self.features)
        self._inverse = np.eye(self.features) / self.ridge

    def predict(self, row: Float64s) -> float:
        """Return the forecast for a row of features (features,)."""
        return float(self._weights @ row)

    def learn(self, row: Float64s, outcome: float) -> None:
        """Take in what came of a row."""
        reached = self._inverse @ row
        gain = reached / (self.forgetting + float(row @ reached))
        self._weights = self._weights + gain * (outcome - self.predict(row))
        self._inverse = (self._inverse - np.outer(gain, reached)) / self.forgetting


def ridge_forecasts(
    before: Float64s, candles: Float64s, step_ms: int, shrinkage: Shrinkage
) -> ForecastSeries:
    """Return the forecasts of an online ridge regression on the newest candle's features, calibrated like ours.

    Args:
        before: the candles (n, columns) that it only learns from: give it as many as the model has seen.
        candles: the candles forecast, and first the one that the first forecast is made at.
        step_ms: the interval.
        shrinkage: how raw forecasts are calibrated.
    """
    sequence = np.concatenate([before, candles])
    _, rows, units = feature_set(VOLATILITY).compute(sequence, step_ms)
    times, changes = sequence[:, OPEN_TIME], next_changes(sequence, step_ms)
    inputs = np.column_stack([rows, np.ones(len(rows))])
    ridge, calibration = OnlineRidge(inputs.shape[1], forgetting=_FORGETTING), Calibration()
    found = []
    for at in range(len(sequence) - 1):
        made = ridge.predict(inputs[at])
        coefficient = calibration.coefficient(shrinkage)
        is_forecast, is_known = at >= len(before), bool(np.isfinite(changes[at]))
        label = changes[at] / units[at]
        if is_forecast:
            found.append(
                (times[at] + step_ms, made * units[at], made * coefficient * units[at], changes[at])
            )
        if is_forecast and is_known:
            calibration = calibration.with_outcome(made, label, shrinkage)
        if is_known:
            ridge.learn(inputs[at], label)
    return ForecastSeries(*np.array(found, dtype=np.float64).reshape(-1, 4).T)
