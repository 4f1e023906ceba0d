"""Features of a symbol's changes in units of its own volatility."""

from math import sqrt
from typing import Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.features.base import Carry


class Returns:
    """Changes in units of the symbol's own recent volatility, and slow statistics of what follows what.

    Means are exponentially weighted, a half-life counts candles; of fewer candles than that a mean is the plain one.
    Across a gap the candle's own open takes the place of the close before it. Columns, before they are centred, scaled
    and clipped: the change; the close within the range; the range; volume against its mean; how a change follows the
    one before; the share of candles that did not move or trade; the close against its mean of 6 and of 24; the upper
    less the lower wick; how a change follows the close within the range, and the close against its mean of 6.
    """

    columns = 11
    is_ranged = False
    close: int | None = None
    start: Carry = (0.0,) * 15

    def after(self, carry: Carry, candle: Float64s, step_ms: int) -> tuple[Carry, Float64s]:
        """Fold one candle."""
        carry, row = _returns(carry, candle.tolist(), float(step_ms))
        return carry, np.array(row)

    def over(self, sequence: Float64s, step_ms: int) -> tuple[Carry, Float64s, Float64s]:
        """Fold all candles."""
        carry, step = self.start, float(step_ms)
        rows, units = np.empty((len(sequence), self.columns)), np.empty(len(sequence))
        for at, candle in enumerate(sequence.tolist()):
            carry, rows[at] = _returns(carry, candle, step)
            units[at] = self.unit(carry)
        return carry, rows, units

    def unit(self, carry: Carry) -> float:
        """Return the volatility of the symbol's changes."""
        return max(sqrt(carry[3]), _LEAST_VOLATILITY)

    @property
    def mirror(self) -> Float64s:
        """A market turned upside down: what points up points down, what has no direction stays."""
        return np.array([-1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0, 1.0])


_LEAST_VOLATILITY: Final = 2e-5
_LARGEST: Final = 6.0  # volatilities: what is beyond is taken for it
_REACH: Final = 4.0  # of a column as the network gets it
# How much the newest candle counts in a mean, 1 - 0.5 ** (1 / half-life), as numbers: the last bit of a library's power
# may differ from one computer to another.
_OF_VOLATILITY: Final = 0.004801955655646228  # half-life 144
_OF_VOLUME: Final = 0.007194279508731083  # 96
_SLOW: Final = 0.002403867116379743  # 288
_SHORT_MEAN: Final = 0.10910128185966073  # 6
_LONG_MEAN: Final = 0.02846805884639414  # 24
_SHORT_SPREAD: Final = sqrt(6.0 / 2.0)  # of a random walk around such a mean, in volatilities
_LONG_SPREAD: Final = sqrt(24.0 / 2.0)


def _returns(carry: Carry, candle: list[float], step_ms: float) -> tuple[Carry, tuple[float, ...]]:
    """Fold one candle; bounded, and safe for flat prices and for no volume."""
    count, last_close, last_time, variance, volume, last_z, last_within, last_short = carry[:8]
    z_z, z_lag, z_within, z_short, flat, short_mean, long_mean = carry[8:]
    time, opened, high, low, close, traded = candle
    if count == 0.0:
        short_mean = long_mean = close
    base = last_close if count > 0.0 and time == last_time + step_ms else opened
    count += 1.0
    young = 1.0 / count
    change = close / base - 1.0
    variance += max(_OF_VOLATILITY, young) * (change * change - variance)
    unit = max(sqrt(variance), _LEAST_VOLATILITY)
    z, span, per_unit = _clipped(change / unit), high - low, base * unit
    within = (2.0 * close - high - low) / span if span > 0.0 else 0.0
    both = traded + volume
    relative_volume = traded / both - 0.5 if both > 0.0 else 0.0
    volume += max(_OF_VOLUME, young) * (traded - volume)
    slow = max(_SLOW, young)
    z_z += slow * (z * z - z_z)
    z_lag += slow * (z * last_z - z_lag)
    z_within += slow * (z * last_within - z_within)
    z_short += slow * (z * last_short - z_short)
    flat += slow * ((1.0 if traded == 0.0 or change == 0.0 else 0.0) - flat)
    short_mean += _SHORT_MEAN * (close - short_mean)
    long_mean += _LONG_MEAN * (close - long_mean)
    short = _clipped((close / short_mean - 1.0) / (unit * _SHORT_SPREAD))
    square = max(z_z, 0.05)
    root = sqrt(square)
    row = (
        _reaching(z),
        _reaching(1.5 * within),
        _reaching(1.2 * (min(span / per_unit, 2.0 * _LARGEST) - 1.35)),
        _reaching(5.0 * relative_volume),
        _reaching(8.0 * z_lag / square),
        _reaching(6.0 * flat),
        _reaching(short),
        _reaching(_clipped((close / long_mean - 1.0) / (unit * _LONG_SPREAD))),
        _reaching(
            2.0 * _clipped(((high - max(opened, close)) - (min(opened, close) - low)) / per_unit)
        ),
        _reaching(10.0 * z_within / root),
        _reaching(10.0 * z_short / root),
    )
    means = (z_z, z_lag, z_within, z_short, flat, short_mean, long_mean)
    return (count, close, time, variance, volume, z, within, short, *means), row


def _reaching(value: float) -> float:
    return min(_REACH, max(-_REACH, value))


def _clipped(value: float) -> float:
    return min(_LARGEST, max(-_LARGEST, value))
