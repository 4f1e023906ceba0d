"""Forecast a symbol's volatility: the mean absolute change of the next candle.

A linear model on volatilities over several horizons (heterogeneous autoregression: Corsi 2009), of
true ranges as well as of changes: a range says more than a change (Parkinson 1980).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.core.model.interval_settings import IntervalSettings
from shared.core.sequence import CLOSE, HIGH, LOW, OPEN, OPEN_TIME

# Weight of the newest candle in a mean, 1 - 0.5 ** (1 / half-life). They are literals because the
# last bit of a library's pow depends on the processor.
_WEIGHT_4: Final = 0.1591035847462855
_WEIGHT_12: Final = 0.05612568731830647
_WEIGHT_48: Final = 0.014336801359812412
_WEIGHT_2000: Final = 0.00034651354059067607
_LEAST_AVERAGE_WEIGHT: Final = 1e-5

_LARGEST_CHANGE: Final = 12.0  # one candle counts as at most so many forecasts: it never decides
_LARGEST_RANGE: Final = 20.0
_LEAST_FORECAST: Final = 1e-6  # of a price that never moves
_LARGEST_FORECAST: Final = 1.0

_MS_PER_MINUTE: Final = 60_000
_MINUTES_PER_DAY: Final = 1_440


@dataclass(frozen=True, slots=True)
class Volatility:
    """Means of a symbol's candles, and the forecasts made from them. Changes are fractions.

    Let a be a candle's absolute change and g its true range (Wilder 1978), (max(high, base) -
    min(low, base)) / base, where base is the close before, across a gap the candle's own open.
    """

    candles: int
    open_time_ms: int
    close: float
    # Exponentially weighted means without the time of day: g of the newest candle, of half-life 4;
    # a of half-lives 12, 48 and 2,000. Plain means while fewer candles are known.
    means: tuple[float, ...]
    forecast: float  # of the next candle's a
    exponential: float  # mean of a, half-life 12, for comparison
    constant: float  # plain mean of a, for comparison


def start_volatility(settings: IntervalSettings) -> Volatility:
    """Return the volatility of a symbol without candles: that of the symbols of the training."""
    change, true_range = settings.change, settings.true_range
    means = (true_range, true_range, change, change, change)
    forecast = _bounded_forecast(means, 1.0, settings)
    return Volatility(0, 0, 0.0, means, forecast, change, change)


def change_of(volatility: Volatility, candle: Sequence[float], step_ms: int) -> float | None:
    """Return a candle's change, close / close before - 1; None across a gap and for the first."""
    follows = volatility.candles and candle[OPEN_TIME] == volatility.open_time_ms + step_ms
    return candle[CLOSE] / volatility.close - 1.0 if follows else None


def fold_candle(
    volatility: Volatility,
    candle: Sequence[float],
    step_ms: int,
    settings: IntervalSettings,
) -> Volatility:
    """Fold one candle.

    Args:
        volatility: the volatility before the candle; it stays as it is.
        candle: a row of a sequence, at least up to its close.
        step_ms: the interval, which tells a gap.
        settings: the card's.
    """
    before, open_time_ms = volatility, int(candle[OPEN_TIME])
    follows = before.candles and open_time_ms == before.open_time_ms + step_ms
    base = before.close if follows else candle[OPEN]
    # 1. Bound what the candle says by the forecast that it is the outcome of, so that one absurd
    #    price moves the means by a few forecasts only.
    unit = before.forecast
    change = min(abs(candle[CLOSE] / base - 1.0), _LARGEST_CHANGE * unit)
    span = (max(candle[HIGH], base) - min(candle[LOW], base)) / base
    true_range = min(span, _LARGEST_RANGE * unit)
    # 2. Take the time of day out of them, and put that of the next candle into the forecast.
    plain = 1.0 / (before.candles + 2.0)  # what a symbol starts from weighs as one candle
    now = activity(open_time_ms, settings)
    means = _update_means(before.means, true_range / now, change / now, plain)
    forecast = _bounded_forecast(means, activity(open_time_ms + step_ms, settings), settings)
    return Volatility(
        before.candles + 1,
        open_time_ms,
        candle[CLOSE],
        means,
        forecast,
        max(_mean(before.exponential, change, max(_WEIGHT_12, plain)), _LEAST_FORECAST),
        max(_mean(before.constant, change, max(_LEAST_AVERAGE_WEIGHT, plain)), _LEAST_FORECAST),
    )


def _update_means(
    means: tuple[float, ...], true_range: float, change: float, plain: float
) -> tuple[float, ...]:
    _, range_4, change_12, change_48, change_2000 = means
    return (
        true_range,
        _mean(range_4, true_range, max(_WEIGHT_4, plain)),
        _mean(change_12, change, max(_WEIGHT_12, plain)),
        _mean(change_48, change, max(_WEIGHT_48, plain)),
        _mean(change_2000, change, max(_WEIGHT_2000, plain)),
    )


def _bounded_forecast(means: tuple[float, ...], factor: float, settings: IntervalSettings) -> float:
    forecast = 0.0
    for weight, mean in zip(settings.weights, means, strict=True):
        forecast += weight * mean
    return min(max(forecast * factor, _LEAST_FORECAST), _LARGEST_FORECAST)


def activity(open_time_ms: int, settings: IntervalSettings) -> float:
    """Return how active the market is at a time of day; 1 is its mean."""
    minute = open_time_ms // _MS_PER_MINUTE % _MINUTES_PER_DAY
    return settings.hours[minute // 60] * settings.parts_of_an_hour[minute % 60 // 5]


def _mean(mean: float, value: float, weight: float) -> float:
    return mean + weight * (value - mean)
