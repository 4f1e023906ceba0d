"""Feature sets: small folds over a symbol's candles whose newest rows are the network's window."""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Final, Protocol, TypeAlias

import numpy as np

from shared.core.arrays import Float64s, frozen64
from shared.core.day import cosine, sine
from shared.core.errors import BadInput

# Columns of a sequence, float64 (n, 6), oldest candle first. A time in ms is exact in a float64.
OPEN_TIME, OPEN, HIGH, LOW, CLOSE, VOLUME = range(6)
SEQUENCE_COLUMNS: Final = 6

_MINUTE_MS = 60_000

Carry: TypeAlias = tuple[float, ...]
"""What a feature set remembers between candles."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """A feature set after a symbol's newest candle."""

    carry: Carry
    rows: Float64s  # (n, columns), of the newest candles, at most a window of them


class FeatureSet(Protocol):
    """A fold of candles. It computes with + - * / and the square root only: their bits are the same everywhere."""

    columns: int
    is_ranged: bool  # rows go through the symbol's scaler; else they are what the network takes
    close: int | None  # the column that is the candle's close, if one is
    start: Carry

    @property
    def mirror(self) -> Float64s | None:
        """What each column (columns,) of a mirrored market is multiplied with; None if there is no such thing."""

    def after(self, carry: Carry, candle: Float64s, step_ms: int) -> tuple[Carry, Float64s]:
        """Fold one candle (columns,): what is remembered then, and the candle's row of features (columns,)."""

    def over(self, sequence: Float64s, step_ms: int) -> tuple[Carry, Float64s, Float64s]:
        """Fold a sequence (n, columns) from the start, oldest candle first.

        Returns:
            What is remembered then, a row of features for each candle (n, columns), and after each candle the unit
            (n,) that the next change is measured in.
        """

    def unit(self, carry: Carry) -> float:
        """Return what the next change is measured in, a fraction."""


class Levels:
    """Open, high, low, close and the sine and cosine of the UTC minute of day, as the original has them."""

    columns = 6
    is_ranged = True
    close: int | None = 3
    start: Carry = ()

    def after(self, carry: Carry, candle: Float64s, step_ms: int) -> tuple[Carry, Float64s]:
        """Remember nothing."""
        return carry, _levels(candle[None])[0]

    def over(self, sequence: Float64s, step_ms: int) -> tuple[Carry, Float64s, Float64s]:
        """Return the rows of all candles."""
        return (), _levels(sequence), np.ones(len(sequence))

    def unit(self, carry: Carry) -> float:
        """Changes are measured as they are."""
        return 1.0

    @property
    def mirror(self) -> None:
        """Prices cannot be turned upside down."""
        return None


@lru_cache(maxsize=1)
def _day() -> Float64s:
    """Sine and cosine of every minute of the day: (1440, 2)."""
    return frozen64(np.array([(sine(m), cosine(m)) for m in range(1440)]))


def _levels(sequence: Float64s) -> Float64s:
    rows = np.empty((len(sequence), Levels.columns))
    rows[:, :4] = sequence[:, OPEN : CLOSE + 1]
    minutes = (sequence[:, OPEN_TIME].astype(np.int64) // _MINUTE_MS) % 1440
    rows[:, 4:] = _day().take(minutes, axis=0)
    return rows


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
        _reaching(2.0 * _clipped(((high - max(opened, close)) - (min(opened, close) - low)) / per_unit)),
        _reaching(10.0 * z_within / root),
        _reaching(10.0 * z_short / root),
    )
    means = (z_z, z_lag, z_within, z_short, flat, short_mean, long_mean)
    return (count, close, time, variance, volume, z, within, short, *means), row


def _reaching(value: float) -> float:
    return min(_REACH, max(-_REACH, value))


def _clipped(value: float) -> float:
    return min(_LARGEST, max(-_LARGEST, value))


_FEATURE_SETS: Final[dict[str, FeatureSet]] = {"levels": Levels(), "returns": Returns()}


def feature_set(name: str) -> FeatureSet:
    """Return the feature set that a card names.

    Raises:
        BadInput: it is not known here.
    """
    try:
        return _FEATURE_SETS[name]
    except KeyError:
        known = ", ".join(sorted(_FEATURE_SETS))
        message = f"feature set {name!r} is not known here; known: {known}. A newer version may know it"
        raise BadInput("unknown_features", message) from None


def features_over(chosen: FeatureSet, sequence: Float64s, step_ms: int, window_length: int) -> Features:
    """Return the features after a sequence's newest candle, folded from its oldest."""
    carry, rows, _ = chosen.over(sequence, step_ms)
    return Features(carry, frozen64(rows[-window_length:].copy()))


def features_after(
    chosen: FeatureSet, features: Features, candle: Float64s, step_ms: int, window_length: int
) -> Features:
    """Return the features after one candle (columns,) more."""
    carry, row = chosen.after(features.carry, candle, step_ms)
    return Features(carry, frozen64(np.concatenate([features.rows[1 - window_length :], row[None]])))
