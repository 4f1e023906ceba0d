"""A symbol's own candle in units of its volatility: what its feature sets have in common."""

from math import sqrt
from typing import Final, NamedTuple, Protocol, TypeAlias

from shared.core.features.robust import (
    LARGEST_Z,
    WEIGHT_6,
    WEIGHT_24,
    clip,
    decayed_sum,
    relative_turnover,
    update_turnover,
    update_variance,
    volatility,
)
from shared.core.sequence import EXCHANGE_COLUMNS, OPEN, OPEN_TIME

Row: TypeAlias = tuple[float, ...]

LARGEST_COLUMN: Final = 4.0

_LARGEST_RANGE: Final = 2.0 * LARGEST_Z

# About the standard deviation of such a sum, in volatilities.
_SHORT_SPREAD: Final = sqrt(6.0 / 2.0)
_LONG_SPREAD: Final = sqrt(24.0 / 2.0)

_LOCATION_FACTOR: Final = 1.5
_MEAN_RANGE: Final = 1.35  # of a candle, in volatilities
_RANGE_FACTOR: Final = 1.2
_TURNOVER_FACTOR: Final = 5.0


class OwnCandle(NamedTuple):
    """The first fields of a feature set's carry, which come from the symbol's own candle.

    The order of the fields is that of the bytes.
    """

    candles: float  # seen so far
    close: float
    open_time_ms: float
    variance: float  # mean of the squared changes
    turnover: float  # mean
    z_score: float
    close_location: float


class OwnCarry(Protocol):
    """The fields of a carry that the next candle of the symbol is measured with."""

    @property
    def candles(self) -> float: ...
    @property
    def close(self) -> float: ...
    @property
    def open_time_ms(self) -> float: ...
    @property
    def variance(self) -> float: ...
    @property
    def turnover(self) -> float: ...
    @property
    def short_deviation(self) -> float: ...
    @property
    def long_deviation(self) -> float: ...


def base_price(before: OwnCarry, candle: list[float], step_ms: float) -> float:
    """Return the close before a candle; across a gap the candle's own open."""
    is_next = before.candles > 0.0 and candle[OPEN_TIME] == before.open_time_ms + step_ms
    return before.close if is_next else candle[OPEN]


def measure_candle(before: OwnCarry, candle: list[float], base: float) -> tuple[OwnCandle, float]:
    """Return the first fields of the carry after a candle, and 1 if it is flat, else 0.

    A flat candle did not move or trade.
    """
    time_ms, _, high, low, close, volume = candle[:EXCHANGE_COLUMNS]
    candles = before.candles + 1.0
    # Volatility first: everything else is measured in it. A listing's first candle may open at any
    # price: its change is not known.
    change, variance = 0.0, before.variance
    if before.candles > 0.0:
        change = close / base - 1.0
        variance = update_variance(variance, change, before.candles)
    span = high - low
    own = OwnCandle(
        candles,
        close,
        time_ms,
        variance,
        update_turnover(before.turnover, volume * close, candles),
        clip(change / volatility(variance)),
        (2.0 * close - high - low) / span if span > 0.0 else 0.0,
    )
    return own, 1.0 if volume == 0.0 or change == 0.0 else 0.0


def update_deviations(before: OwnCarry, z_score: float) -> tuple[float, float]:
    """Return how far the close is from its short and its long mean, after one change more."""
    return (
        clip(decayed_sum(before.short_deviation, z_score / _SHORT_SPREAD, WEIGHT_6)),
        clip(decayed_sum(before.long_deviation, z_score / _LONG_SPREAD, WEIGHT_24)),
    )


def own_columns(
    mean_turnover: float, z_score: float, close_location: float, candle: list[float], unit: float
) -> Row:
    """Return four columns: change, location of the close, range, turnover.

    Args:
        mean_turnover: before the candle.
        z_score: the candle's change in volatilities.
        close_location: of the close between low and high, from -1 to 1.
        candle: a row of a sequence, at least up to its volume.
        unit: the volatility, as a price.
    """
    _, _, high, low, close, volume = candle[:EXCHANGE_COLUMNS]
    span = min((high - low) / unit, _LARGEST_RANGE)
    return (
        clip(z_score, LARGEST_COLUMN),
        _LOCATION_FACTOR * close_location,
        clip(_RANGE_FACTOR * (span - _MEAN_RANGE), LARGEST_COLUMN),
        _TURNOVER_FACTOR * relative_turnover(mean_turnover, volume * close),
    )
