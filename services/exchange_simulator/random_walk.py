"""Random walks with common factors: the arithmetic of the synthetic candles."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np

from shared.adapters.recording import CandleRow

BLOCK_CANDLES: Final = 1024  # generated at once
LOT_DECIMALS: Final = 5

# Standard deviations of a candle's change, in the long run.
MARKET_DEVIATION: Final = 0.0015
CLUSTER_DEVIATION: Final = 0.0008
OWN_DEVIATION: Final = 0.0012
# Volatility clusters as in a GARCH(1,1) process.
SHOCK: Final = 0.08
MEMORY: Final = 0.90
# A symbol's own part returns to its running average, which a model can learn, and the price slowly
# to its start.
AVERAGE_SPAN: Final = 24
PULL: Final = 0.15
HOME_PULL: Final = 0.0005
MAX_CHANGE: Final = 0.2  # of a candle
# A thin symbol catches up with a share of the common part that is pending in each candle with a
# trade.
THIN_CATCH_UP: Final = 0.45
THIN_FLAT: Final = 0.25  # probability of a candle without a trade
THIN_VOLUME: Final = 0.02  # of a liquid symbol's


@dataclass(frozen=True, slots=True)
class _CandleUnits:
    """A candle in whole ticks and lots."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    taker: int
    trades: int


class _Volatility:
    """The standard deviation of a process whose large changes come in clusters."""

    def __init__(self, deviation: float) -> None:
        """Start at the long-run deviation of a candle's change."""
        self.long_run = deviation
        self._variance = deviation * deviation

    @property
    def deviation(self) -> float:
        """The standard deviation of the next change."""
        return sqrt(self._variance)

    def update(self, surprise: float) -> None:
        """Learn the part of a change that was not expected."""
        share = (1 - SHOCK - MEMORY) * self.long_run**2
        self._variance = share + SHOCK * surprise**2 + MEMORY * self._variance


class CommonFactor:
    """Changes that several symbols share, generated block after block."""

    def __init__(self, name: str, seed: int, deviation: float) -> None:
        """Start at a level of 1, to which it slowly returns."""
        self._random = _generator(seed, name)
        self._volatility = _Volatility(deviation)
        self._level = 1.0
        self._changes: list[float] = []

    def change(self, index: int) -> float:
        """Return the change in a candle, generating those before it first."""
        while len(self._changes) <= index:
            shocks = self._random.standard_normal(BLOCK_CANDLES).tolist()
            self._changes += [self._next(shock) for shock in shocks]
        return self._changes[index]

    def _next(self, shock: float) -> float:
        surprise = self._volatility.deviation * shock
        self._volatility.update(surprise)
        change = _bounded(HOME_PULL * (1 / self._level - 1) + surprise)
        self._level *= 1 + change
        return change


class _Pending:
    """The common part of a symbol's changes: at once, or late if the symbol is thin."""

    def __init__(self, factors: Sequence[CommonFactor], sensitivity: float, share: float) -> None:
        """Store the factors, the symbol's sensitivity to them, and the share that it catches up."""
        self._factors, self._sensitivity, self._share = factors, sensitivity, share
        self._pending = 0.0

    def add(self, index: int) -> None:
        """Add the change of a candle."""
        self._pending += self._sensitivity * sum(each.change(index) for each in self._factors)

    def take(self) -> float:
        """Return the change that the symbol makes up for now."""
        taken = self._share * self._pending
        self._pending -= taken
        return taken


class RandomWalk:
    """One symbol's candles, generated block after block."""

    def __init__(
        self, symbol: str, seed: int, factors: Sequence[CommonFactor], *, thin: bool
    ) -> None:
        """Draw the symbol's price level, tick, lot and sensitivity to the factors."""
        self._symbol = symbol
        self._random = _generator(seed, symbol)
        magnitude = int(self._random.integers(-3, 5))  # the home price is between 0.001 and 100,000
        self._decimals = 2 + min(6, max(0, 4 - magnitude))
        self._tick = 1 / 10**self._decimals
        self._home = (1 + 8 * self._random.random()) * (
            10**magnitude if magnitude >= 0 else 1 / 10**-magnitude
        )
        base_volume = (100 + 900 * self._random.random()) / self._home * 100  # of a usual candle
        self._lots = base_volume * 10**LOT_DECIMALS * (THIN_VOLUME if thin else 1.0)
        self._flat_share = THIN_FLAT if thin else 0.0
        sensitivity = 0.7 + 0.6 * self._random.random()
        self._common = _Pending(factors, sensitivity, THIN_CATCH_UP if thin else 1.0)
        self._volatility = _Volatility(OWN_DEVIATION)
        self._price, self._own = self._home, 1.0
        self._average = self._own
        self._last = round(self._home / self._tick)
        self._candles: list[_CandleUnits] = []

    def row(self, index: int, open_time_ms: int) -> CandleRow:
        """Return the candle of an index, generating those before it first."""
        while len(self._candles) <= index:
            self._extend()
        units = self._candles[index]
        middle = (units.high + units.low) / 2 * self._tick / 10**LOT_DECIMALS
        return CandleRow(
            self._symbol,
            open_time_ms,
            open=_fixed(units.open, self._decimals),
            high=_fixed(units.high, self._decimals),
            low=_fixed(units.low, self._decimals),
            close=_fixed(units.close, self._decimals),
            volume=_fixed(units.volume, LOT_DECIMALS),
            quote_volume=f"{units.volume * middle:.8f}",
            trades=units.trades,
            taker_buy_volume=_fixed(units.taker, LOT_DECIMALS),
            taker_buy_quote_volume=f"{units.taker * middle:.8f}",
        )

    def _extend(self) -> None:
        normals = self._random.standard_normal((BLOCK_CANDLES, 3)).tolist()
        uniforms = self._random.random((BLOCK_CANDLES, 3)).tolist()
        for normal, (trading, *uniform) in zip(normals, uniforms, strict=True):
            self._common.add(len(self._candles))
            is_flat = trading < self._flat_share
            self._candles.append(self._flat() if is_flat else self._traded(*normal, *uniform))

    def _flat(self) -> _CandleUnits:
        """Return a candle without a trade."""
        last = self._last
        return _CandleUnits(last, last, last, last, volume=0, taker=0, trades=0)

    def _traded(
        self, shock: float, above: float, below: float, activity: float, taker: float
    ) -> _CandleUnits:
        deviation = self._volatility.deviation
        surprise = deviation * shock
        self._move(surprise)
        opened, close = self._last, max(1, round(self._price / self._tick))
        self._last = close
        high = max(opened, close) + int(abs(above) * deviation * opened / 2)
        low = max(1, min(opened, close) - int(abs(below) * deviation * opened / 2))
        volume = int(self._lots * (0.2 + activity) * (1 + abs(surprise) / OWN_DEVIATION))
        trades = 1 + int(200 * activity)
        return _CandleUnits(
            opened, high, low, close, volume, int(volume * (0.3 + 0.4 * taker)), trades
        )

    def _move(self, surprise: float) -> None:
        """Move the price by the symbol's own change and by the common one."""
        self._volatility.update(surprise)
        own = _bounded(PULL * (self._average / self._own - 1) + surprise)
        self._own *= 1 + own
        self._average += (self._own - self._average) / AVERAGE_SPAN
        home = HOME_PULL * (self._home / self._price - 1)
        self._price *= 1 + _bounded(own + self._common.take() + home)


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))


def _bounded(change: float) -> float:
    return max(-MAX_CHANGE, min(MAX_CHANGE, change))


def _fixed(units: int, decimals: int) -> str:
    whole, rest = divmod(units, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}"
