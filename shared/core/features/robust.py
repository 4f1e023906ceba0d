"""Statistics of a symbol's candles that no single candle moves by more than a bounded amount.

A jump of a thousandfold, a listing's first candle or a price that was entered wrongly counts as a
large move, and no more: it is clipped where it enters (winsorised, Tukey 1962), before any mean.
"""

from math import sqrt
from typing import Final

# Weights of the newest candle in a mean, 1 - 0.5 ** (1 / half-life). They are literals because the
# last bit of a library's pow depends on the processor.
WEIGHT_3: Final = 0.2062994740159002  # half-life 3 candles
WEIGHT_6: Final = 0.10910128185966073
WEIGHT_12: Final = 0.05612568731830647
WEIGHT_24: Final = 0.02846805884639414
WEIGHT_96: Final = 0.007194279508731083
WEIGHT_144: Final = 0.004801955655646228
WEIGHT_288: Final = 0.002403867116379743
WEIGHT_1152: Final = 0.0006015092816173961

LARGEST_Z: Final = 6.0  # volatilities; what is beyond counts as this much
PRIOR_VARIANCE: Final = 1e-8  # before the first change: low, for a volatility rises in few candles

_LEAST_VOLATILITY: Final = 2e-5  # a stablecoin's; also keeps flat prices from dividing by 0
_PRIOR_CHANGES: Final = 2.0  # how many changes the prior variance weighs as much as
_LARGEST_TURNOVER: Final = 16.0  # means, in the mean


def clip(value: float, limit: float = LARGEST_Z) -> float:
    """Return the value, or the limit with its sign if the value is beyond."""
    # Quicker than min and max, which would take a quarter of the time of a candle.
    return limit if value > limit else value if value > -limit else -limit


def update_mean(mean: float, value: float, weight: float) -> float:
    """Return an exponentially weighted mean after one value more."""
    return mean + weight * (value - mean)


def decayed_sum(total: float, value: float, weight: float) -> float:
    """Return an exponentially decayed sum after one value more, the value decayed once.

    Of changes it is about the distance of the newest close from the mean of the closes.
    """
    return (1.0 - weight) * (total + value)


def growing_weight(weight: float, values: float, prior_values: float = 0.0) -> float:
    """Return a value's weight in a mean that is plain as long as it has seen few values.

    Args:
        weight: once it has seen many.
        values: seen so far, the newest included.
        prior_values: how many values the mean's start counts as.
    """
    plain = 1.0 / (values + prior_values)
    return plain if plain > weight else weight


def update_variance(variance: float, change: float, changes: float) -> float:
    """Return the mean square of a symbol's changes after one more, half-life 144 candles.

    A change counts as at most 6 volatilities of those before it, so that one candle raises the
    volatility by at most 9 %, and more only among the first 200.

    Args:
        variance: before the change; `PRIOR_VARIANCE` before the first.
        change: close / close before - 1.
        changes: seen so far, this one included.
    """
    bounded = clip(change, LARGEST_Z * volatility(variance))
    return update_mean(
        variance, bounded * bounded, growing_weight(WEIGHT_144, changes, _PRIOR_CHANGES)
    )


def volatility(variance: float) -> float:
    """Return the root of a variance, at least a stablecoin's."""
    root = sqrt(variance)
    return root if root > _LEAST_VOLATILITY else _LEAST_VOLATILITY


def update_turnover(mean: float, turnover: float, candles: float) -> float:
    """Return the mean turnover after one candle more, half-life 96 candles.

    Turnover is volume x close: a redenomination changes both, and leaves it as it is.

    Args:
        mean: before the candle.
        turnover: of the candle.
        candles: seen so far, this one included.
    """
    largest = _LARGEST_TURNOVER * mean
    bounded = largest if turnover > largest > 0.0 else turnover
    return update_mean(mean, bounded, growing_weight(WEIGHT_96, candles))


def relative_turnover(mean: float, turnover: float) -> float:
    """Return turnover / (turnover + mean before) - 1/2, from -1/2 to 1/2; 0 if nothing is traded.

    >>> relative_turnover(100.0, 300.0)
    0.25
    """
    both = turnover + mean
    return turnover / both - 0.5 if both > 0.0 else 0.0
