"""Skill: how much better one forecast is than another, and how certain that is."""

from dataclasses import asdict, dataclass
from math import erfc, sqrt
from typing import Any, Final

from shared.core.arrays import Float64s

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
    error = sqrt(long_run_variance(reference - errors) * n) / total
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


def clark_west_p(errors: Float64s, reference: Float64s, distances: Float64s) -> float | None:
    """Test whether a forecast is better than one that is nested in it.

    Clark and West (2007): where the reference is the forecast with some coefficients at zero, such
    as "no change" or the same network frozen, estimating these coefficients costs the larger model
    squared error even if they are zero, so that the test of equal errors says too little. The
    expected cost is the squared distance of the two forecasts, which is subtracted from the
    forecast's errors. The variance is that of `skill_score`.

    Args:
        errors: squared errors of the forecast (n,), oldest moment first.
        reference: squared errors of the nested forecast (n,).
        distances: squared differences of the two forecasts (n,), in the same units.

    Returns:
        The probability of at least this much gain if the coefficients were zero (one-sided); None
        if there is nothing to compare.
    """
    n, gains = len(reference), reference - (errors - distances)
    if n < 2:
        return None
    error = sqrt(long_run_variance(gains) / n)
    mean = float(gains.mean())
    if error == 0.0:
        return 0.0 if mean > 0.0 else 1.0
    return probability_above(mean, error)


def long_run_variance(series: Float64s) -> float:
    """Estimate the variance of a mean's terms (n,), which may be correlated in time.

    Newey and West (1987) with Bartlett weights up to the cube root of n: divided by n it is the
    variance of the mean.
    """
    n = len(series)
    centred = series - series.mean()
    variance = float(centred @ centred) / n
    lags = int(n ** (1 / 3))
    for lag in range(1, lags + 1):
        weight = 1.0 - lag / (lags + 1)
        variance += 2.0 * weight * float(centred[lag:] @ centred[:-lag]) / n
    return max(variance, 0.0)
