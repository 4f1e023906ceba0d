"""Errors of forecasts, in units of volatility and bounded, and their sums over symbols."""

from typing import Final, TypeVar

import numpy as np

from shared.core.arrays import Float64s
from shared.core.model.shrinkage import Shrinkage

MAX_CHANGE: Final = Shrinkage().largest  # volatilities

Values = TypeVar("Values", float, Float64s)


def squared_errors(changes: Values, outcomes: Values, volatility: Values) -> Values:
    """Compute squared errors, one or (n,), in squared volatilities.

    Forecasts and outcomes beyond MAX_CHANGE volatilities count as that much: a symbol that is
    redenominated, or a coin that loses its peg, never decides about a model.

    >>> volatility = np.array([0.01, 0.01])
    >>> squared_errors(np.array([0.0, 0.01]), np.array([0.5, 0.03]), volatility).round(6)
    array([64.,  4.])
    """
    error: Values = bounded(changes / volatility) - bounded(outcomes / volatility)
    return error * error


def bounded(changes: Values) -> Values:
    """Clip changes in volatilities at MAX_CHANGE."""
    # Faster than `np.clip` for a single change.
    clipped: Values = np.minimum(MAX_CHANGE, np.maximum(-MAX_CHANGE, changes))
    return clipped


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
