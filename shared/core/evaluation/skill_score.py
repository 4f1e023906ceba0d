"""Errors of forecasts: how much better one is than another, and how certain that is."""

from dataclasses import asdict, dataclass
from math import erfc, sqrt
from typing import Any, Final, TypeVar

import numpy as np

from shared.core.arrays import Float64s
from shared.core.model.shrinkage import Shrinkage

STANDARD_ERRORS_OF_95_PERCENT: Final = 1.959964  # from the mean to each end of an interval


@dataclass(frozen=True, slots=True)
class Skill:
    """1 - squared error / that of the reference forecast, with its 95 % interval.

    `p` is the probability of at least this much skill if the forecast were no better than the
    reference (one-sided).
    """

    value: float
    low: float
    high: float
    p: float
    n: int  # moments compared

    @property
    def standard_error(self) -> float:
        """The standard error of the value."""
        return (self.high - self.low) / (2 * STANDARD_ERRORS_OF_95_PERCENT)


def skill_score(errors: Float64s, reference: Float64s) -> Skill | None:
    """Test whether a forecast is better than a reference over the same moments.

    Diebold and Mariano (1995): the difference of the two errors is a series whose variance allows
    for correlation in time, estimated as by Newey and West (1987) with Bartlett weights up to the
    cube root of the length. The reference's total error, which the difference is divided by, is
    taken as known.

    Args:
        errors: squared errors of the forecast (n,), oldest moment first. Errors of several symbols
            are summed at each moment: see `TimePool`.
        reference: squared errors of the reference (n,).

    Returns:
        None if there is nothing to compare.
    """
    n, total = len(reference), float(reference.sum())
    if n < 2 or total <= 0.0:
        return None
    value = 1.0 - float(errors.sum()) / total
    error = sqrt(_long_run_variance(reference - errors) * n) / total
    if error == 0.0:
        return Skill(value, value, value, 0.0 if value > 0.0 else 1.0, n)
    reach = STANDARD_ERRORS_OF_95_PERCENT * error
    return Skill(value, value - reach, value + reach, probability_above(value, error), n)


def probability_above(value: float, standard_error: float) -> float:
    """Compute the probability that a normal variable of mean zero exceeds a value."""
    return 0.5 * erfc(value / standard_error / sqrt(2.0))


def skill_to_fields(skill: Skill | None) -> dict[str, Any] | None:
    """Turn a skill into plain values for a card."""
    return None if skill is None else asdict(skill)


def _long_run_variance(series: Float64s) -> float:
    n = len(series)
    centred = series - series.mean()
    variance = float(centred @ centred) / n
    lags = int(n ** (1 / 3))
    for lag in range(1, lags + 1):
        weight = 1.0 - lag / (lags + 1)
        variance += 2.0 * weight * float(centred[lag:] @ centred[:-lag]) / n
    return max(variance, 0.0)


MAX_OUTCOME: Final = Shrinkage().largest  # volatilities

Values = TypeVar("Values", float, Float64s)


def squared_errors(changes: Float64s, outcomes: Float64s, volatility: Float64s) -> Float64s:
    """Compute squared errors (n,) in squared volatilities.

    >>> volatility = np.array([0.01, 0.01])
    >>> squared_errors(np.array([0.0, 0.01]), np.array([0.5, 0.03]), volatility).round(6)
    array([2500.,    4.])
    """
    error: Float64s = (changes - outcomes) / volatility
    return error * error


def clipped_squared_errors(changes: Values, outcomes: Values, volatility: Values) -> Values:
    """Compute squared errors, one or (n,), with outcomes clipped at MAX_OUTCOME volatilities.

    A decision about a model, such as which epoch to keep, then never hangs on a single candle.

    >>> small = np.array([0.01, 0.01])
    >>> clipped_squared_errors(np.array([0.0, 0.01]), np.array([0.5, 0.03]), small).round(6)
    array([64.,  4.])
    """
    # Faster than `np.clip` for a single error.
    clipped = np.minimum(MAX_OUTCOME, np.maximum(-MAX_OUTCOME, outcomes / volatility))
    error: Values = changes / volatility - clipped
    return error * error


class TimePool:
    """Sums errors over symbols at each moment.

    Symbols move together, so all symbols of a moment are one sample, not many.
    """

    def __init__(self, times_ms: Float64s) -> None:
        """Take the moment of each error (n,), in any order."""
        self.moments, self._index = np.unique(times_ms, return_inverse=True)

    def sum(self, errors: Float64s) -> Float64s:
        """Sum the errors (n,) of each moment, oldest moment first."""
        return np.bincount(self._index, errors, len(self.moments)).astype(np.float64)
