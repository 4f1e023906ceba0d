"""Features of a symbol's changes, in units of its own volatility."""

from math import sqrt
from typing import Final, NamedTuple

import numpy as np

from shared.core.arrays import Float64s
from shared.core.features.base import Carry, FoldedFeatures
from shared.core.features.own_candle import (
    LARGEST_COLUMN,
    Row,
    base_price,
    measure_candle,
    own_columns,
    update_deviations,
)
from shared.core.features.robust import (
    PRIOR_VARIANCE,
    WEIGHT_288,
    clip,
    growing_weight,
    update_mean,
    volatility,
)
from shared.core.sequence import EXCHANGE_COLUMNS


class ReturnsCarry(NamedTuple):
    """The carry of a symbol's candles. The order of the fields is that of the bytes."""

    candles: float = 0.0  # seen so far
    close: float = 0.0
    open_time_ms: float = 0.0
    variance: float = PRIOR_VARIANCE  # mean of the squared changes
    turnover: float = 0.0  # mean
    z_score: float = 0.0
    close_location: float = 0.0
    short_deviation: float = 0.0
    long_deviation: float = 0.0
    z_square: float = 0.0  # mean of z_score**2
    z_after_z: float = 0.0  # mean of z_score x the z_score before
    z_after_location: float = 0.0  # mean of z_score x the close_location before
    z_after_deviation: float = 0.0  # mean of z_score x the short_deviation before
    flat_share: float = 0.0  # of candles that did not move or trade


class Returns:
    """Changes in units of the symbol's own recent volatility, and what tends to follow what.

    Let o, h, l, c, v be a candle's open, high, low, close and volume, and

        base   the close before; across a gap the candle's own open
        r      the change, c / base - 1; of the first candle 0
        M(x)   the exponentially weighted mean of x, the candle included; as long as it has seen
               fewer candles than its memory, the plain mean
        S(x)   the decayed sum of x, the candle's own decayed once: for changes about the distance
               of the close from its exponentially weighted mean
        s      volatility, sqrt(M(r**2)), half-life 144 candles (RiskMetrics, J. P. Morgan 1996),
               r clipped to +-6 volatilities of the candles before
        z      r / s, clipped to +-6
        x'     the x of the candle before

    | column | formula | range | source |
    | --- | --- | --- | --- |
    | 0 change | z | +-4 | z-score |
    | 1 close location | 1.5 (2c - h - l) / (h - l) | +-1.5 | Chaikin's close location value |
    | 2 range | 1.2 ((h - l) / (base s) - 1.35) | -1.62 to 4 | Parkinson 1980: range as volatility |
    | 3 turnover | 5 (q / (q + Q') - 0.5), q = v c, Q = M(q), half-life 96 | +-2.5 | relative |
    | 4 autocorrelation | 8 M(z z') / M(z**2), half-life 288 | +-4 | at lag 1 |
    | 5 flat share | 6 M(1 if r = 0 or v = 0, else 0), half-life 288 | 0 to 4 | illiquidity |
    | 6 short deviation | d = S(z) / sqrt(3), half-life 6 | +-4 | mean reversion |
    | 7 long deviation | S(z) / sqrt(12), half-life 24 | +-4 | trend |
    | 8 wicks | 2 ((h - max(o, c)) - (min(o, c) - l)) / (base s) | +-4 | upper less lower wick |
    | 9 after location | 10 M(z x') / sqrt(M(z**2)), x = column 1 / 1.5 | +-4 | regression |
    | 10 after deviation | 10 M(z d') / sqrt(M(z**2)), half-life 288 | +-4 | regression |

    Factors and offsets bring each column to about unit size. Each is clipped to +-4 at last. All
    means are of bounded values (see robust.py).
    """

    columns = 11
    needs_scaler = False
    needs_market = False
    initial_carry: Carry = ReturnsCarry()

    def update(self, carry: Carry, candle: Float64s, step_ms: int) -> tuple[Carry, Float64s]:
        """Fold one candle."""
        after, row = _fold_candle(ReturnsCarry._make(carry), candle.tolist(), float(step_ms))
        return after, np.array(row)

    def compute(self, sequence: Float64s, step_ms: int) -> FoldedFeatures:
        """Fold all candles."""
        carry, step = ReturnsCarry(), float(step_ms)
        rows, units = np.empty((len(sequence), self.columns)), np.empty(len(sequence))
        for index, candle in enumerate(sequence.tolist()):
            carry, rows[index] = _fold_candle(carry, candle, step)
            units[index] = volatility(carry.variance)
        return FoldedFeatures(carry, rows, units, np.zeros(len(sequence)))

    def carry_after(self, sequence: Float64s, step_ms: int) -> Carry:
        """Fold all candles into the carry alone."""
        return self.compute(sequence, step_ms).carry

    def change_unit(self, carry: Carry) -> float:
        """Return the volatility of the symbol's changes."""
        return volatility(ReturnsCarry._make(carry).variance)

    def explained_change(self, carry: Carry, market_change: float) -> float:
        """Return 0: the market is not looked at."""
        return 0.0

    @property
    def mirror(self) -> Float64s:
        """The sign of each column in a mirrored market: directions flip, sizes stay."""
        return np.array([-1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0, 1.0])


_LEAST_Z_SQUARE: Final = 0.05  # keeps a symbol that hardly trades from dividing by 0

_AUTOCORRELATION_FACTOR: Final = 8.0
_FLAT_FACTOR: Final = 6.0
_WICK_FACTOR: Final = 2.0
_REGRESSION_FACTOR: Final = 10.0


def _fold_candle(
    before: ReturnsCarry, candle: list[float], step_ms: float
) -> tuple[ReturnsCarry, Row]:
    """Return the carry after a candle and its row; finite for flat prices and without volume."""
    base = base_price(before, candle, step_ms)
    after = _update_means(before, candle, base)
    return after, _row(before, after, candle, base)


def _update_means(before: ReturnsCarry, candle: list[float], base: float) -> ReturnsCarry:
    own, is_flat = measure_candle(before, candle, base)
    z, slow = own.z_score, growing_weight(WEIGHT_288, own.candles)
    short, long = update_deviations(before, z)
    # What follows what: products with the values of the candle before.
    return ReturnsCarry(
        *own,
        short_deviation=short,
        long_deviation=long,
        z_square=update_mean(before.z_square, z * z, slow),
        z_after_z=update_mean(before.z_after_z, z * before.z_score, slow),
        z_after_location=update_mean(before.z_after_location, z * before.close_location, slow),
        z_after_deviation=update_mean(before.z_after_deviation, z * before.short_deviation, slow),
        flat_share=update_mean(before.flat_share, is_flat, slow),
    )


def _row(before: ReturnsCarry, after: ReturnsCarry, candle: list[float], base: float) -> Row:
    """Return the columns of `Returns`, in their order."""
    _, opened, high, low, close, _ = candle[:EXCHANGE_COLUMNS]
    price_unit = base * volatility(after.variance)
    wicks = ((high - max(opened, close)) - (min(opened, close) - low)) / price_unit
    z_square = max(after.z_square, _LEAST_Z_SQUARE)
    z_size = sqrt(z_square)
    own = own_columns(before.turnover, after.z_score, after.close_location, candle, price_unit)
    slow = (
        _AUTOCORRELATION_FACTOR * after.z_after_z / z_square,
        _FLAT_FACTOR * after.flat_share,
        after.short_deviation,
        after.long_deviation,
        _WICK_FACTOR * clip(wicks),
        _REGRESSION_FACTOR * after.z_after_location / z_size,
        _REGRESSION_FACTOR * after.z_after_deviation / z_size,
    )
    return own + tuple([clip(column, LARGEST_COLUMN) for column in slow])
