"""Squared errors of forecasts in units of volatility, and their sums over symbols.

In these units a quiet symbol counts as much as a volatile one.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np

from shared.core.arrays import Float64s
from shared.core.model.shrinkage import Shrinkage

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

    def __init__(self, times_ms: Sequence[Float64s]) -> None:
        """Take the moments (n,) of each symbol's errors."""
        self.moments, self._index = np.unique(
            np.concatenate([np.empty(0), *times_ms]), return_inverse=True
        )

    def sum(self, errors: Sequence[Float64s]) -> Float64s:
        """Sum the symbols' errors, given in the order of their times; oldest moment first."""
        flat = np.concatenate([np.empty(0), *errors])
        return np.bincount(self._index, flat, len(self.moments)).astype(np.float64)
