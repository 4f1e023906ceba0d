"""How much better one forecast is than another, and how certain that is."""

from collections.abc import Mapping
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


def skill_from_scores(scores: Mapping[str, Any], contender: str) -> Skill | None:
    """Read a contender's pooled skill against zero change from a card's scores.

    Returns:
        None if the card has none.
    """
    found = scores.get("forecasts", {}).get(contender, {}).get("skill")
    return None if found is None else Skill(**found)


def _long_run_variance(series: Float64s) -> float:
    n = len(series)
    centred = series - series.mean()
    variance = float(centred @ centred) / n
    lags = int(n ** (1 / 3))
    for lag in range(1, lags + 1):
        weight = 1.0 - lag / (lags + 1)
        variance += 2.0 * weight * float(centred[lag:] @ centred[:-lag]) / n
    return max(variance, 0.0)
