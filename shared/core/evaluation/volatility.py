"""The volatility that errors are measured in, the same for every contender."""

from math import sqrt
from typing import Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.evaluation.errors import MAX_CHANGE
from shared.core.sequence import CLOSE, OPEN, OPEN_TIME

_WEIGHT: Final = 1.0 - 0.5 ** (1 / 144)  # of the newest candle: a half-life of 144 candles
_LEAST: Final = 2e-5  # a stablecoin's; also keeps flat prices from dividing by 0
_FEW: Final = 12  # candles that say too little to bound the next one by
_LARGEST_OF_FEW: Final = 0.02  # so far one of these counts


def volatility_after(sequence: Float64s, step_ms: int) -> Float64s:
    """Compute the volatility (n,) of a symbol's changes after each candle, as a fraction.

    The root of the exponentially weighted mean of squared changes (RiskMetrics, J. P. Morgan 1996),
    each counted up to 8 volatilities: after one absurd candle it is at most 1.2 times as large.

    Args:
        sequence: candles (n, columns), oldest first. Across a gap a change is from the open.
        step_ms: the interval.
    """
    times, closes = sequence[:, OPEN_TIME], sequence[:, CLOSE]
    follows = np.concatenate([[False], np.diff(times) == step_ms])[: len(times)]
    bases = np.where(follows, np.concatenate([[1.0], closes])[:-1], sequence[:, OPEN])
    volatility, variance = np.empty(len(sequence)), 0.0
    for count, change in enumerate((closes / bases - 1.0).tolist(), 1):
        limit = MAX_CHANGE * _root(variance) if count > _FEW else _LARGEST_OF_FEW
        bounded = min(abs(change), limit)
        variance += max(_WEIGHT, 1.0 / count) * (bounded * bounded - variance)
        volatility[count - 1] = _root(variance)
    return volatility


def _root(variance: float) -> float:
    return max(sqrt(variance), _LEAST)
