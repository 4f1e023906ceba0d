"""Online linear forecasts: baselines with the features of a network."""

from dataclasses import dataclass
from math import isfinite
from typing import Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.evaluation.errors import bounded
from shared.core.evaluation.forecasts import ForecastSeries, HeldOutSpan, next_changes
from shared.core.features.registry import feature_set
from shared.core.model.shrinkage import Shrinkage
from shared.core.online.calibration import Calibration
from shared.core.sequence import OPEN_TIME

HALF_LIFE: Final = 8640  # candles until an outcome's weight has halved: a month of 5m
_FORGETTING: Final = 0.5 ** (1 / HALF_LIFE)

_OWN_CANDLES: Final = "returns"  # a feature set that sees the symbol's own candles alone

# As reports and cards name them.
ONLINE_RIDGE: Final = "online ridge"
COLD_RIDGE: Final = "online ridge, cold"
RETURNS_RIDGE: Final = "online ridge, own candles"


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


@dataclass(frozen=True, slots=True)
class RidgeBaseline:
    """An online ridge regression on the newest row of a feature set."""

    features: str
    is_cold: bool  # whether it learns from the held-out candles alone
    shrinkage: Shrinkage  # of its forecasts, as the network's are shrunk
    baskets: str | None = None  # version that the feature set looks at

    def forecast(self, span: HeldOutSpan, step_ms: int) -> ForecastSeries:
        """Forecast a held-out span, each candle before it is learnt from.

        Outcomes beyond 8 volatilities count as 8.

        Args:
            span: the held-out candles, with as much history as the network has seen.
            step_ms: the interval.
        """
        sequence = span.sequence
        folded = feature_set(self.features, self.baskets).compute(sequence, step_ms)
        rows, units = folded.rows, folded.units
        changes = next_changes(sequence, step_ms)
        inputs = np.column_stack([rows, np.ones(len(rows))])  # the last column is the intercept
        learn_from, chosen = span.start if self.is_cold else 0, slice(span.start, -1)
        labels = bounded(changes / units)
        outputs = _forecast_rows(inputs[learn_from:], labels[learn_from:], self.shrinkage)
        raw, calibrated = (outputs[span.start - learn_from : -1] * units[chosen, None]).T
        times = sequence[chosen, OPEN_TIME] + step_ms
        return ForecastSeries(times, raw, calibrated, changes[chosen])


def ridge_baselines(
    features: str, shrinkage: Shrinkage, baskets: str | None = None
) -> dict[str, RidgeBaseline]:
    """Return the baselines of a network with these features, by name.

    With the network's own columns, learning since the start of the data and since the held-out
    span; and with the columns of `returns`, which see the symbol's own candles alone. A set that
    has to be scaled first is left out.
    """
    baselines = {RETURNS_RIDGE: RidgeBaseline(_OWN_CANDLES, is_cold=False, shrinkage=shrinkage)}
    if feature_set(features).needs_scaler:
        return baselines
    own = {
        ONLINE_RIDGE: RidgeBaseline(features, False, shrinkage, baskets),
        COLD_RIDGE: RidgeBaseline(features, True, shrinkage, baskets),
    }
    return own if features == _OWN_CANDLES else own | baselines


def _forecast_rows(inputs: Float64s, labels: Float64s, shrinkage: Shrinkage) -> Float64s:
    """Forecast each row (n, features) before its label is learnt: (n, 2), raw and calibrated."""
    ridge, calibration = OnlineRidge(inputs.shape[1], forgetting=_FORGETTING), Calibration()
    forecasts = np.empty((len(inputs), 2))
    for at, (row, label) in enumerate(zip(inputs, labels.tolist(), strict=True)):
        output = ridge.predict(row)
        forecasts[at] = output, output * calibration.coefficient(shrinkage)
        if isfinite(label):
            calibration = calibration.with_outcome(output, label, shrinkage)
            ridge.learn(row, label)
    return forecasts
