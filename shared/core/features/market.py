"""Features of a symbol beside the market: what the others did in the same candles."""

from math import isnan
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
    WEIGHT_3,
    WEIGHT_12,
    WEIGHT_1152,
    clip,
    decayed_sum,
    growing_weight,
    update_mean,
    update_variance,
    volatility,
)
from shared.core.sequence import (
    BASKET_CHANGES,
    BASKETS,
    MARKET_CHANGE,
    MAX_BASKETS,
    baskets_code,
)


class MarketCarry(NamedTuple):
    """The carry of a symbol's candles. The order of the fields is that of the bytes."""

    candles: float = 0.0  # seen so far
    close: float = 0.0
    open_time_ms: float = 0.0
    variance: float = PRIOR_VARIANCE  # mean of the squared changes
    turnover: float = 0.0  # mean
    z_score: float = 0.0
    close_location: float = 0.0
    flat_share: float = 0.0  # of candles that did not move or trade
    short_deviation: float = 0.0
    long_deviation: float = 0.0
    moves: float = 0.0  # of the market, seen so far
    market_variance: float = PRIOR_VARIANCE  # mean of the market's squared changes
    market_z: float = 0.0  # the market's change in its own volatilities; 0: unknown
    market_square: float = 1.0  # mean of market_z**2
    with_market: float = 0.7  # mean of z_score x market_z; the start is a coin's as most are
    after_market: float = 0.0  # mean of z_score x the market_z before
    short_lag: float = 0.0
    long_lag: float = 0.0


class MarketFeatures:
    """A symbol's changes, the market's and that of its baskets, and how far the symbol is behind.

    Let o, h, l, c, v be a candle's open, high, low, close and volume, g the market's change and
    b the change of a basket in the same candle, and

        base   the close before; across a gap the candle's own open
        r      the change, c / base - 1; of the first candle 0
        M(x)   the exponentially weighted mean of x, the candle included; as long as it has seen
               fewer candles than its memory, the plain mean
        S(x)   the decayed sum of x, the candle's own decayed once: for changes about the distance
               of the close from its exponentially weighted mean
        s      volatility, sqrt(M(r**2)), half-life 144 candles (RiskMetrics, J. P. Morgan 1996),
               r clipped to +-6 volatilities of the candles before; s_g that of g
        z      r / s, clipped to +-6; z_g = g / s_g likewise
        beta   exposure, M(z z_g) / M(z_g**2), half-life 1152, clipped to +-3
        x'     the x of the candle before

    | column | formula | range | source |
    | --- | --- | --- | --- |
    | 0 change | z | +-4 | z-score |
    | 1 close location | 1.5 (2c - h - l) / (h - l) | +-1.5 | Chaikin's close location value |
    | 2 range | 1.2 ((h - l) / (base s) - 1.35) | -1.62 to 4 | Parkinson 1980: range as volatility |
    | 3 turnover | 5 (q / (q + Q') - 0.5), q = v c, Q = M(q), half-life 96 | +-2.5 | relative |
    | 4 flat share | 6 M(1 if r = 0 or v = 0, else 0) - 1.5, half-life 1152 | +-4 | illiquidity |
    | 5 short deviation | S(z) / sqrt(3), half-life 6 | +-4 | mean reversion |
    | 6 long deviation | S(z) / sqrt(12), half-life 24 | +-4 | trend |
    | 7 market | g / s | +-4 | the market's change, as large as it is to this symbol |
    | 8 short lag | S(beta z_g - z), half-life 3 | +-4 | error correction, Engle, Granger 1987 |
    | 9 long lag | S(beta z_g - z) / 2.4, half-life 12 | +-4 | the same |
    | 10 exposure | 2 (beta - 0.6) | +-4 | market model, Sharpe 1963 |
    | 11 follow | 8 M(z z_g') / M(z_g**2), half-life 1152 | +-4 | lead, lag, Lo, MacKinlay 1990 |
    | 12-23 baskets | (b - g) / s | +-4 | what moves with each basket alone |

    Of an unknown market, or baskets of another version, nothing is known: columns 7 and 12-23 are
    0, the exposure stays, the lags decay. Factors and offsets bring each column to about unit size.
    Each is clipped to +-4 at last. All means are of bounded values (see robust.py).
    """

    columns = 12 + MAX_BASKETS
    needs_scaler = False
    needs_market = True
    initial_carry: Carry = MarketCarry()

    def __init__(self, baskets: str | None = None) -> None:
        """Take the version of the baskets to look at; None: none of them."""
        self._baskets = baskets_code(baskets)

    def update(self, carry: Carry, candle: Float64s, step_ms: int) -> tuple[Carry, Float64s]:
        """Fold one candle."""
        after, row = self._fold_candle(MarketCarry._make(carry), candle.tolist(), float(step_ms))
        return after, np.array(row)

    def compute(self, sequence: Float64s, step_ms: int) -> FoldedFeatures:
        """Fold all candles."""
        carry, step = MarketCarry(), float(step_ms)
        rows = np.empty((len(sequence), self.columns))
        units, explained = np.empty(len(sequence)), np.empty(len(sequence))
        for index, candle in enumerate(sequence.tolist()):
            explained[index] = self.explained_change(carry, candle[MARKET_CHANGE])
            carry, rows[index] = self._fold_candle(carry, candle, step)
            units[index] = volatility(carry.variance)
        return FoldedFeatures(carry, rows, units, explained)

    def carry_after(self, sequence: Float64s, step_ms: int) -> Carry:
        """Fold all candles into the carry alone."""
        carry, step = MarketCarry(), float(step_ms)
        for candle in sequence.tolist():
            carry = _update_means(carry, candle, base_price(carry, candle, step))
        return carry

    def change_unit(self, carry: Carry) -> float:
        """Return the volatility of the symbol's changes."""
        return volatility(MarketCarry._make(carry).variance)

    def explained_change(self, carry: Carry, market_change: float) -> float:
        """Return s beta z_g, all but the market's change as of the candles before."""
        if isnan(market_change):
            return 0.0
        before = MarketCarry._make(carry)
        market_z = clip(market_change / volatility(before.market_variance))
        return volatility(before.variance) * _exposure(before) * market_z

    @property
    def mirror(self) -> Float64s:
        """The sign of each column in a mirrored market: directions flip, sizes stay."""
        sizes = {_RANGE, _TURNOVER, _FLAT_SHARE, _EXPOSURE, _FOLLOW}
        return np.array([1.0 if column in sizes else -1.0 for column in range(self.columns)])

    def _fold_candle(
        self, before: MarketCarry, candle: list[float], step_ms: float
    ) -> tuple[MarketCarry, Row]:
        """Return the carry after a candle and its row; finite whatever the candle."""
        base = base_price(before, candle, step_ms)
        after = _update_means(before, candle, base)
        unit = volatility(after.variance)
        row = _symbol_columns(before, after, candle, base * unit) + _market_columns(
            after, candle, unit
        )
        return after, row + self._basket_columns(candle, unit)

    def _basket_columns(self, candle: list[float], unit: float) -> Row:
        # NaN, an unknown version or change, equals nothing and is above and below nothing.
        market = candle[MARKET_CHANGE]
        if candle[BASKETS] != self._baskets or isnan(market):
            return _NO_BASKETS
        excess = [(change - market) / unit for change in candle[BASKET_CHANGES]]
        return tuple([0.0 if isnan(x) else clip(x, LARGEST_COLUMN) for x in excess])


_RANGE, _TURNOVER, _FLAT_SHARE, _EXPOSURE, _FOLLOW = 2, 3, 4, 10, 11

_LARGEST_EXPOSURE: Final = 3.0
_LEAST_SQUARE: Final = 0.05  # keeps a market that hardly moves from dividing by 0
_PRIOR_CANDLES: Final = 8.0  # how many candles the start of a slow mean weighs as much as
_NO_BASKETS: Final = (0.0,) * MAX_BASKETS

_LONG_LAG_SPREAD: Final = 2.4  # about the standard deviation of such a sum, in volatilities

_FLAT_FACTOR: Final = 6.0
_FLAT_OFFSET: Final = 1.5
_MEAN_EXPOSURE: Final = 0.6
_EXPOSURE_FACTOR: Final = 2.0
_FOLLOW_FACTOR: Final = 8.0


def _update_means(before: MarketCarry, candle: list[float], base: float) -> MarketCarry:
    own, is_flat = measure_candle(before, candle, base)
    slow = growing_weight(WEIGHT_1152, own.candles, _PRIOR_CANDLES)
    return MarketCarry(
        *own,
        update_mean(before.flat_share, is_flat, slow),
        *update_deviations(before, own.z_score),
        *_fold_market(before, own.z_score, candle[MARKET_CHANGE]),
    )


def _fold_market(before: MarketCarry, z: float, market_change: float) -> Row:
    """Return the carry's fields of the market, from `moves` on."""
    if isnan(market_change):
        return (
            before.moves,
            before.market_variance,
            0.0,
            before.market_square,
            before.with_market,
            before.after_market,
            clip(decayed_sum(before.short_lag, 0.0, WEIGHT_3)),
            clip(decayed_sum(before.long_lag, 0.0, WEIGHT_12)),
        )
    moves = before.moves + 1.0
    variance = update_variance(before.market_variance, market_change, moves)
    market_z = clip(market_change / volatility(variance))
    slow = growing_weight(WEIGHT_1152, moves, _PRIOR_CANDLES)
    square = update_mean(before.market_square, market_z * market_z, slow)
    with_market = update_mean(before.with_market, z * market_z, slow)
    behind = clip(with_market / max(square, _LEAST_SQUARE), _LARGEST_EXPOSURE) * market_z - z
    return (
        moves,
        variance,
        market_z,
        square,
        with_market,
        update_mean(before.after_market, z * before.market_z, slow),
        clip(decayed_sum(before.short_lag, behind, WEIGHT_3)),
        clip(decayed_sum(before.long_lag, behind / _LONG_LAG_SPREAD, WEIGHT_12)),
    )


def _exposure(carry: MarketCarry) -> float:
    square = max(carry.market_square, _LEAST_SQUARE)
    return clip(carry.with_market / square, _LARGEST_EXPOSURE)


def _symbol_columns(
    before: MarketCarry, after: MarketCarry, candle: list[float], price_unit: float
) -> Row:
    """Return columns 0 to 6."""
    own = own_columns(before.turnover, after.z_score, after.close_location, candle, price_unit)
    return (
        *own,
        clip(_FLAT_FACTOR * after.flat_share - _FLAT_OFFSET, LARGEST_COLUMN),
        clip(after.short_deviation, LARGEST_COLUMN),
        clip(after.long_deviation, LARGEST_COLUMN),
    )


def _market_columns(after: MarketCarry, candle: list[float], unit: float) -> Row:
    """Return columns 7 to 11."""
    market = candle[MARKET_CHANGE]
    follow = after.after_market / max(after.market_square, _LEAST_SQUARE)
    return (
        0.0 if isnan(market) else clip(market / unit, LARGEST_COLUMN),
        clip(after.short_lag, LARGEST_COLUMN),
        clip(after.long_lag, LARGEST_COLUMN),
        clip(_EXPOSURE_FACTOR * (_exposure(after) - _MEAN_EXPOSURE), LARGEST_COLUMN),
        clip(_FOLLOW_FACTOR * follow, LARGEST_COLUMN),
    )
