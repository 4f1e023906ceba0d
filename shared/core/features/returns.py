"""Features of a symbol's changes, in units of its own volatility."""

from math import sqrt
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from shared.core.arrays import Float64s
from shared.core.features.base import Carry
from shared.core.sequence import EXCHANGE_COLUMNS

Row: TypeAlias = tuple[float, ...]


class ReturnsCarry(NamedTuple):
    """The carry of a symbol's candles. The order of the fields is that of the bytes."""

    candles: float = 0.0  # seen so far
    close: float = 0.0
    open_time_ms: float = 0.0
    variance: float = 0.0  # mean of the squared changes
    volume: float = 0.0  # mean
    z_score: float = 0.0
    close_location: float = 0.0
    short_deviation: float = 0.0
    z_square: float = 0.0  # mean of z_score**2
    z_after_z: float = 0.0  # mean of z_score x the z_score before
    z_after_location: float = 0.0  # mean of z_score x the close_location before
    z_after_deviation: float = 0.0  # mean of z_score x the short_deviation before
    flat_share: float = 0.0  # of candles that did not move or trade
    short_mean: float = 0.0  # of the close
    long_mean: float = 0.0  # of the close


class Returns:
    """Changes in units of the symbol's own recent volatility, and what tends to follow what.

    Let o, h, l, c, v be a candle's open, high, low, close and volume, and

        base   the close before; across a gap, and for the first candle, the candle's own open
        r      the change, c / base - 1
        M(x)   the exponentially weighted mean of x, the candle included; as long as it has seen
               fewer candles than its memory, the plain mean
        s      volatility, sqrt(M(r**2)), half-life 144 candles (RiskMetrics, J. P. Morgan 1996)
        z      r / s, clipped to +-6
        x'     the x of the candle before

    | column | formula | range | source |
    | --- | --- | --- | --- |
    | 0 change | z | +-4 | z-score |
    | 1 close location | 1.5 (2c - h - l) / (h - l) | +-1.5 | Chaikin's close location value |
    | 2 range | 1.2 ((h - l) / (base s) - 1.35) | -1.62 to 4 | Parkinson 1980: range as volatility |
    | 3 volume | 5 (v / (v + V') - 1/2), V = M(v), half-life 96 | +-2.5 | bounded relative volume |
    | 4 autocorrelation | 8 M(z z') / M(z**2), half-life 288 | +-4 | at lag 1 |
    | 5 flat share | 6 M(1 if r = 0 or v = 0, else 0), half-life 288 | 0 to 4 | illiquidity |
    | 6 short deviation | d = (c / M(c) - 1) / (s sqrt(3)), half-life 6 | +-4 | mean reversion |
    | 7 long deviation | (c / M(c) - 1) / (s sqrt(12)), half-life 24 | +-4 | trend |
    | 8 wicks | 2 ((h - max(o, c)) - (min(o, c) - l)) / (base s) | +-4 | upper less lower wick |
    | 9 after location | 10 M(z x') / sqrt(M(z**2)), x = column 1 / 1.5 | +-4 | regression |
    | 10 after deviation | 10 M(z d') / sqrt(M(z**2)), half-life 288 | +-4 | regression |

    Factors and offsets bring each column to about unit size. Each is clipped to +-4 at last.
    """

    columns = 11
    needs_scaler = False
    needs_market = False
    initial_carry: Carry = ReturnsCarry()

    def update(self, carry: Carry, candle: Float64s, step_ms: int) -> tuple[Carry, Float64s]:
        """Fold one candle."""
        after, row = _fold_candle(ReturnsCarry._make(carry), candle.tolist(), float(step_ms))
        return after, np.array(row)

    def compute(self, sequence: Float64s, step_ms: int) -> tuple[Carry, Float64s, Float64s]:
        """Fold all candles."""
        carry, step = ReturnsCarry(), float(step_ms)
        rows, units = np.empty((len(sequence), self.columns)), np.empty(len(sequence))
        for index, candle in enumerate(sequence.tolist()):
            carry, rows[index] = _fold_candle(carry, candle, step)
            units[index] = _volatility(carry.variance)
        return carry, rows, units

    def change_unit(self, carry: Carry) -> float:
        """Return the volatility of the symbol's changes."""
        return _volatility(ReturnsCarry._make(carry).variance)

    def explained_change(self, carry: Carry, market_change: float) -> float:
        """Return 0: the market is not looked at."""
        return 0.0

    @property
    def mirror(self) -> Float64s:
        """The sign of each column in a mirrored market: directions flip, sizes stay."""
        return np.array([-1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0, 1.0])


# Weights of the newest candle in a mean, 1 - 0.5 ** (1 / half-life). They are literals because the
# last bit of a library's pow depends on the processor.
_VOLATILITY_WEIGHT: Final = 0.004801955655646228  # half-life 144 candles
_VOLUME_WEIGHT: Final = 0.007194279508731083  # 96
_SLOW_WEIGHT: Final = 0.002403867116379743  # 288
_SHORT_WEIGHT: Final = 0.10910128185966073  # 6
_LONG_WEIGHT: Final = 0.02846805884639414  # 24

_LEAST_VOLATILITY: Final = 2e-5  # a stablecoin's; also keeps flat prices from dividing by 0
_LARGEST_Z: Final = 6.0  # what is beyond counts as this much
_LARGEST_RANGE: Final = 2.0 * _LARGEST_Z
_LARGEST_COLUMN: Final = 4.0
_LEAST_Z_SQUARE: Final = 0.05  # keeps a symbol that hardly trades from dividing by 0

# About the standard deviation of a random walk around such a mean, in volatilities.
_SHORT_SPREAD: Final = sqrt(6.0 / 2.0)
_LONG_SPREAD: Final = sqrt(24.0 / 2.0)

_LOCATION_FACTOR: Final = 1.5
_MEAN_RANGE: Final = 1.35  # of a candle, in volatilities
_RANGE_FACTOR: Final = 1.2
_VOLUME_FACTOR: Final = 5.0
_AUTOCORRELATION_FACTOR: Final = 8.0
_FLAT_FACTOR: Final = 6.0
_WICK_FACTOR: Final = 2.0
_REGRESSION_FACTOR: Final = 10.0


def _fold_candle(
    before: ReturnsCarry, candle: list[float], step_ms: float
) -> tuple[ReturnsCarry, Row]:
    """Return the carry after a candle and its row; finite for flat prices and without volume."""
    is_next = before.candles > 0.0 and candle[0] == before.open_time_ms + step_ms
    base = before.close if is_next else candle[1]
    after = _update_means(before, candle, base)
    return after, _row(before, after, candle, base)


def _update_means(before: ReturnsCarry, candle: list[float], base: float) -> ReturnsCarry:
    time_ms, _, high, low, close, volume = candle[:EXCHANGE_COLUMNS]
    candles = before.candles + 1.0
    plain = 1.0 / candles  # the newest candle's weight in a plain mean
    # 1. Volatility first: everything else is measured in it.
    change = close / base - 1.0
    variance = _mean(before.variance, change * change, max(_VOLATILITY_WEIGHT, plain))
    unit = _volatility(variance)
    z = _clip(change / unit)
    # 2. Where the close is: within the candle, and against its mean.
    span = high - low
    location = (2.0 * close - high - low) / span if span > 0.0 else 0.0
    short_mean = _mean(before.short_mean if before.candles else close, close, _SHORT_WEIGHT)
    long_mean = _mean(before.long_mean if before.candles else close, close, _LONG_WEIGHT)
    # 3. What follows what: products with the values of the candle before.
    slow = max(_SLOW_WEIGHT, plain)
    is_flat = volume == 0.0 or change == 0.0
    return ReturnsCarry(
        candles=candles,
        close=close,
        open_time_ms=time_ms,
        variance=variance,
        volume=_mean(before.volume, volume, max(_VOLUME_WEIGHT, plain)),
        z_score=z,
        close_location=location,
        short_deviation=_deviation(close, short_mean, unit * _SHORT_SPREAD),
        z_square=_mean(before.z_square, z * z, slow),
        z_after_z=_mean(before.z_after_z, z * before.z_score, slow),
        z_after_location=_mean(before.z_after_location, z * before.close_location, slow),
        z_after_deviation=_mean(before.z_after_deviation, z * before.short_deviation, slow),
        flat_share=_mean(before.flat_share, 1.0 if is_flat else 0.0, slow),
        short_mean=short_mean,
        long_mean=long_mean,
    )


def _row(before: ReturnsCarry, after: ReturnsCarry, candle: list[float], base: float) -> Row:
    """Return the columns of `Returns`, in their order."""
    _, opened, high, low, close, volume = candle[:EXCHANGE_COLUMNS]
    unit = _volatility(after.variance)
    price_unit = base * unit
    both_volumes = volume + before.volume
    relative_volume = volume / both_volumes - 0.5 if both_volumes > 0.0 else 0.0
    wicks = ((high - max(opened, close)) - (min(opened, close) - low)) / price_unit
    z_square = max(after.z_square, _LEAST_Z_SQUARE)
    z_size = sqrt(z_square)
    columns = (
        after.z_score,
        _LOCATION_FACTOR * after.close_location,
        _RANGE_FACTOR * (min((high - low) / price_unit, _LARGEST_RANGE) - _MEAN_RANGE),
        _VOLUME_FACTOR * relative_volume,
        _AUTOCORRELATION_FACTOR * after.z_after_z / z_square,
        _FLAT_FACTOR * after.flat_share,
        after.short_deviation,
        _deviation(close, after.long_mean, unit * _LONG_SPREAD),
        _WICK_FACTOR * _clip(wicks),
        _REGRESSION_FACTOR * after.z_after_location / z_size,
        _REGRESSION_FACTOR * after.z_after_deviation / z_size,
    )
    return tuple([_clip(column, _LARGEST_COLUMN) for column in columns])


def _volatility(variance: float) -> float:
    return max(sqrt(variance), _LEAST_VOLATILITY)


def _mean(mean: float, value: float, weight: float) -> float:
    return mean + weight * (value - mean)


def _deviation(close: float, mean: float, spread: float) -> float:
    return _clip((close / mean - 1.0) / spread)


def _clip(value: float, limit: float = _LARGEST_Z) -> float:
    # Quicker than min and max, which would take a quarter of the time of a candle.
    return limit if value > limit else value if value > -limit else -limit
