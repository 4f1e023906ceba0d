"""Synthetic candles: a seeded random walk, named so that nobody takes them for a market's."""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np

from shared.adapters.candle_files import CandleRow

ORIGIN_MS: Final = 1_735_689_600_000  # 2025-01-01: a candle depends on seed, symbol and time, not on when it is asked for
BLOCK: Final = 1024  # candles made at a time
LOT_DECIMALS: Final = 5

# Volatility clusters as in a GARCH(1,1) whose long-run deviation per candle is DEVIATION.
DEVIATION: Final = 0.002
SHOCK: Final = 0.08
MEMORY: Final = 0.90
# Prices come back to their own running average (what a model may find) and, slowly, to where they began.
AVERAGE_SPAN: Final = 24
PULL: Final = 0.15
HOME_PULL: Final = 0.0005
LARGEST: Final = 0.2  # a candle's change never passes this


def names(count: int) -> tuple[str, ...]:
    """Return the symbols of a synthetic market.

    >>> names(2)
    ('SYN01USDT', 'SYN02USDT')
    """
    return tuple(f"SYN{number:02d}USDT" for number in range(1, count + 1))


def is_synthetic(symbol: str) -> bool:
    """Return whether a symbol says of itself that it is synthetic."""
    return re.fullmatch(r"SYN[0-9]{2,4}USDT", symbol) is not None


class SyntheticMarket:
    """A market that never ends. Its candles are made when they are first looked at, always in the same order."""

    end_ms = None
    begin_ms = ORIGIN_MS

    def __init__(self, symbols: Sequence[str], interval_ms: int, seed: int) -> None:
        """Prepare the symbols; nothing is computed yet."""
        self.symbols = tuple(symbols)
        self._interval_ms = interval_ms
        self._walks = {symbol: _Walk(symbol, seed) for symbol in symbols}

    def candles(self, symbol: str, from_ms: int, until_ms: int) -> "SyntheticSpan":
        """Return the candles with an open time in [from_ms, until_ms); empty if the symbol is not traded."""
        first, until = (
            max(0, -((ORIGIN_MS - time) // self._interval_ms)) for time in (from_ms, until_ms)
        )
        walk = self._walks.get(symbol)
        return (
            SyntheticSpan(walk, self._interval_ms, first, max(first, until))
            if walk
            else SyntheticSpan(None, 1, 0, 0)
        )


@dataclass(frozen=True, slots=True)
class SyntheticSpan:
    """Candles of one walk by index; computed when rows are asked for."""

    walk: "_Walk | None"
    interval_ms: int
    first: int
    until: int

    def __len__(self) -> int:
        return self.until - self.first

    def rows(self, first: int, until: int) -> Iterator[CandleRow]:
        """Yield the rows from index `first` up to, not including, `until`."""
        if self.walk is not None:
            for index in range(self.first + first, min(self.first + until, self.until)):
                yield self.walk.row(index, ORIGIN_MS + index * self.interval_ms)


@dataclass(frozen=True, slots=True)
class _Made:
    """A candle in whole ticks and lots."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    taker: int
    trades: int


class _Walk:
    """One symbol's candles, made block after block."""

    def __init__(self, symbol: str, seed: int) -> None:
        """Draw where the symbol begins."""
        self._symbol = symbol
        self._random = np.random.Generator(np.random.PCG64([seed, zlib.crc32(symbol.encode())]))
        magnitude = int(self._random.integers(-3, 5))  # the home price is between 0.001 and 100,000
        self._decimals = 2 + min(6, max(0, 4 - magnitude))
        self._tick = 1 / 10**self._decimals
        self._home = (1 + 8 * self._random.random()) * (
            10**magnitude if magnitude >= 0 else 1 / 10**-magnitude
        )
        self._lots = (
            (100 + 900 * self._random.random()) / self._home * 100 * 10**LOT_DECIMALS
        )  # of a usual candle
        self._price = self._average = self._home
        self._variance = DEVIATION * DEVIATION
        self._last = round(self._home / self._tick)
        self._made: list[_Made] = []

    def row(self, index: int, open_time_ms: int) -> CandleRow:
        """Return the candle of an index, making those before it first."""
        while len(self._made) <= index:
            self._extend()
        made = self._made[index]
        middle = (made.high + made.low) / 2 * self._tick / 10**LOT_DECIMALS
        return CandleRow(
            self._symbol,
            open_time_ms,
            open=_fixed(made.open, self._decimals),
            high=_fixed(made.high, self._decimals),
            low=_fixed(made.low, self._decimals),
            close=_fixed(made.close, self._decimals),
            volume=_fixed(made.volume, LOT_DECIMALS),
            quote_volume=f"{made.volume * middle:.8f}",
            trades=made.trades,
            taker_buy_volume=_fixed(made.taker, LOT_DECIMALS),
            taker_buy_quote_volume=f"{made.taker * middle:.8f}",
        )

    def _extend(self) -> None:
        normals = self._random.standard_normal((BLOCK, 3)).tolist()
        uniforms = self._random.random((BLOCK, 2)).tolist()
        self._made += [self._next(*n, *u) for n, u in zip(normals, uniforms, strict=True)]

    def _next(
        self, shock: float, above: float, below: float, activity: float, taker: float
    ) -> _Made:
        deviation = sqrt(self._variance)
        drift = PULL * (self._average / self._price - 1) + HOME_PULL * (
            self._home / self._price - 1
        )
        change = max(-LARGEST, min(LARGEST, drift + deviation * shock))
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
        return _Made(
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
