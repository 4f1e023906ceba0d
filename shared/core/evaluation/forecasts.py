"""Forecasts and outcomes of one symbol's candles, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from shared.core.arrays import Float64s
from shared.core.features.registry import feature_set
from shared.core.sequence import CLOSE, OPEN_TIME

VOLATILITY_FEATURES: Final = "returns"  # the feature set whose unit is a symbol's volatility


@dataclass(frozen=True, slots=True, eq=False)
class ForecastSeries:
    """A symbol's forecasts and their outcomes, arrays (n,), oldest first.

    Changes are fractions of the last close. An outcome across a gap is NaN.
    """

    open_time_ms: Float64s  # of the candle that is forecast
    change: Float64s  # the network's output
    calibrated: Float64s  # the same, shrunk by what earlier forecasts were worth
    outcome: Float64s

    def at(self, times_ms: Float64s) -> "ForecastSeries":
        """Select the forecasts of the candles that open at these times."""
        chosen = np.isin(self.open_time_ms, times_ms)
        return ForecastSeries(
            self.open_time_ms[chosen],
            self.change[chosen],
            self.calibrated[chosen],
            self.outcome[chosen],
        )


SeriesBySymbol: TypeAlias = Mapping[str, ForecastSeries]


def changes_to_next(times_ms: Float64s, closes: Float64s, step_ms: int) -> Float64s:
    """Compute the change (n,) from each close to the next, as a fraction.

    The change across a gap is NaN, and so is the last one.

    >>> changes_to_next(np.array([0.0, 1.0, 3.0]), np.array([100.0, 110.0, 121.0]), 1)
    array([0.1, nan, nan])
    """
    labels = np.full(len(closes), np.nan)
    follows = np.diff(times_ms) == step_ms
    labels[:-1][follows] = (closes[1:] / closes[:-1] - 1.0)[follows]
    return labels


def next_changes(sequence: Float64s, step_ms: int) -> Float64s:
    """Compute the label (n,) of the window that ends at each candle: next close / close - 1.

    NaN where the candle after it is missing: a gap gives no label.
    """
    return changes_to_next(sequence[:, OPEN_TIME], sequence[:, CLOSE], step_ms)


def compute_volatility(before: Float64s, candles: Float64s, step_ms: int) -> Float64s:
    """Compute a symbol's volatility (n - 1,) at the moment of each forecast, as a fraction.

    Args:
        before: the candles (m, columns) before the first forecast.
        candles: the candles (n, columns) that forecasts are made at; the last one makes none,
            since its outcome is unknown.
        step_ms: the interval.
    """
    _, _, units = feature_set(VOLATILITY_FEATURES).compute(
        np.concatenate([before, candles]), step_ms
    )
    return units[len(before) : -1]
