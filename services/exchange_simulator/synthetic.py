"""Synthetic candles: seeded random walks, under names that no market has."""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np

from shared.adapters.recording import CandleRow

# The first open time, 2025-01-01: a candle depends on seed, symbol and time alone.
ORIGIN_MS: Final = 1_735_689_600_000
BLOCK_CANDLES: Final = 1024  # generated at once
LOT_DECIMALS: Final = 5

# Volatility clusters as in a GARCH(1,1) process with DEVIATION per candle in the long run.
DEVIATION: Final = 0.002
SHOCK: Final = 0.08
MEMORY: Final = 0.90
# Prices return to their running average, which a model can learn, and slowly to their start.
AVERAGE_SPAN: Final = 24
PULL: Final = 0.15
HOME_PULL: Final = 0.0005
MAX_CHANGE: Final = 0.2  # of a candle


def synthetic_symbols(count: int) -> tuple[str, ...]:
    """Return the symbols of a synthetic market.

    >>> synthetic_symbols(2)
    ('SYN01USDT', 'SYN02USDT')
    """
    return tuple(f"SYN{number:02d}USDT" for number in range(1, count + 1))


def is_synthetic(symbol: str) -> bool:
    """Return whether a symbol has the form of `synthetic_symbols`."""
    return re.fullmatch(r"SYN[0-9]{2,4}USDT", symbol) is not None


class SyntheticMarket:
    """A market that never ends; each symbol's candles are generated in order, on first use."""

    end_ms = None
    begin_ms = ORIGIN_MS

    def __init__(self, symbols: Sequence[str], interval_ms: int, seed: int) -> None:
        """Prepare the symbols; nothing is generated yet."""
        self.symbols = tuple(symbols)
        self._interval_ms = interval_ms
        self._walks = {symbol: _RandomWalk(symbol, seed) for symbol in symbols}

    def find(self, symbol: str, from_ms: int, until_ms: int) -> range:
        """Return the numbers of the candles that open in [from_ms, until_ms)."""
        if symbol not in self._walks:
            return range(0)
        first, until = (
            -((ORIGIN_MS - time_ms) // self._interval_ms) for time_ms in (from_ms, until_ms)
        )
        return range(max(0, first), max(0, until))

    def rows(self, symbol: str, numbers: range) -> Iterator[CandleRow]:
        """Yield the candles with these numbers."""
        for number in numbers:
            yield self._walks[symbol].row(number, ORIGIN_MS + number * self._interval_ms)


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


class _RandomWalk:
    """One symbol's candles, generated block after block."""

    def __init__(self, symbol: str, seed: int) -> None:
        """Draw the symbol's price level, tick and lot."""
        self._symbol = symbol
        self._random = np.random.Generator(np.random.PCG64([seed, zlib.crc32(symbol.encode())]))
        magnitude = int(self._random.integers(-3, 5))  # the home price is between 0.001 and 100,000
        self._decimals = 2 + min(6, max(0, 4 - magnitude))
        self._tick = 1 / 10**self._decimals
        self._home = (1 + 8 * self._random.random()) * (
            10**magnitude if magnitude >= 0 else 1 / 10**-magnitude
        )
        base_volume = (100 + 900 * self._random.random()) / self._home * 100  # of a usual candle
        self._lots = base_volume * 10**LOT_DECIMALS
        self._price = self._average = self._home
        self._variance = DEVIATION * DEVIATION
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
        uniforms = self._random.random((BLOCK_CANDLES, 2)).tolist()
        self._candles += [self._next(*n, *u) for n, u in zip(normals, uniforms, strict=True)]

    def _next(
        self, shock: float, above: float, below: float, activity: float, taker: float
    ) -> _CandleUnits:
        deviation = sqrt(self._variance)
        drift = PULL * (self._average / self._price - 1) + HOME_PULL * (
            self._home / self._price - 1
        )
        change = max(-MAX_CHANGE, min(MAX_CHANGE, drift + deviation * shock))
        surprise = change - drift
        self._variance = (
            (1 - SHOCK - MEMORY) * DEVIATION**2 + SHOCK * surprise**2 + MEMORY * self._variance
        )
        self._price *= 1 + change
        self._average += (self._price - self._average) / AVERAGE_SPAN
        opened, close = self._last, max(1, round(self._price / self._tick))
        self._last = close
        high = max(opened, close) + int(abs(above) * deviation * opened / 2)
        low = max(1, min(opened, close) - int(abs(below) * deviation * opened / 2))
        volume = int(self._lots * (0.2 + activity) * (1 + abs(surprise) / DEVIATION))
        return _CandleUnits(
            opened,
            high,
            low,
            close,
            volume,
            int(volume * (0.3 + 0.4 * taker)),
            1 + int(200 * activity),
        )


def _fixed(units: int, decimals: int) -> str:
    whole, rest = divmod(units, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}"
