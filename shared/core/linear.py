"""An online linear forecast: what a simple method gives on the same features, for comparison in reports."""

from dataclasses import dataclass, field

import numpy as np

from shared.core.arrays import Float64s


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
