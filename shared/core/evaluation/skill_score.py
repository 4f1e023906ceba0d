"""How much better one forecast is than another, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from typing import Final

import numpy as np

from shared.core.arrays import Float64s

_CONFIDENT: Final = 1.959964  # standard errors that make a two-sided interval of 95 %


@dataclass(frozen=True, slots=True)
class Skill:
    """1 - squared error / that of the other forecast, with its interval of 95 %.

    `p` is the chance of at least this much if the forecast were no better than the other (one-sided).
    """

    value: float
    low: float
    high: float
    p: float
    n: int  # moments compared


def skill_score(ours: Float64s, theirs: Float64s) -> Skill | None:
    """Return the skill of one forecast against another over the same moments, oldest first.

    Diebold and Mariano's test: the difference of the two errors is a series whose variance allows for correlation in
    time (Newey and West, with Bartlett weights up to the cube root of the length); what it is divided by, the other's
    error, is taken as it is. Pooled over symbols, each moment is the sum over the symbols at that moment, since they
    move together: see `pool_by_time`.

    Args:
        ours: squared errors of the forecast (n,).
        theirs: squared errors of the other (n,).

    Returns:
        None if there is nothing to compare.
    """
    n, total = len(theirs), float(theirs.sum())
    if n < 2 or total <= 0.0:
        return None
    value = 1.0 - float(ours.sum()) / total
    error = sqrt(_long_run_variance(theirs - ours) * n) / total
    if error == 0.0:
        return Skill(value, value, value, 0.0 if value > 0.0 else 1.0, n)
    reach = _CONFIDENT * error
    return Skill(value, value - reach, value + reach, 0.5 * erfc(value / error / sqrt(2.0)), n)


def pool_by_time(times_ms: Sequence[Float64s], errors: Sequence[Float64s]) -> Float64s:
    """Return the sums over symbols of squared errors at each moment, oldest moment first.

    Args:
        times_ms: the moments (n,) of each symbol.
        errors: its squared errors (n,).
    """
    if not times_ms:
        return np.empty(0)
    moments, place = np.unique(np.concatenate(times_ms), return_inverse=True)
    sums: Float64s = np.bincount(place, np.concatenate(errors), len(moments)).astype(np.float64)
    return sums


def _long_run_variance(series: Float64s) -> float:
    n = len(series)
    centred = series - series.mean()
    found = float(centred @ centred) / n
    lags = int(n ** (1 / 3))
    for lag in range(1, lags + 1):
        weight = 1.0 - lag / (lags + 1)
        found += 2.0 * weight * float(centred[lag:] @ centred[:-lag]) / n
    return max(found, 0.0)
