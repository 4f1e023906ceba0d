"""Synthetic candles: seeded random walks with common factors, under names that no market has.

As in real markets, most of a change is common to all symbols, and some of it to the symbols of a
cluster. Most symbols follow both at once; thin ones follow over the next candles, and in some of
them nobody trades.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from services.exchange_simulator.random_walk import (
    CLUSTER_DEVIATION,
    MARKET_DEVIATION,
    CommonFactor,
    RandomWalk,
)
from shared.adapters.recording import CandleRow

# The first open time, 2025-01-01: a candle depends on seed, symbol and time alone.
ORIGIN_MS: Final = 1_735_689_600_000
CLUSTERS: Final = 3
THIN_OF_FIVE: Final = (3, 4)  # of five symbols in a row, the thin ones


def synthetic_symbols(count: int) -> tuple[str, ...]:
    """Return the symbols of a synthetic market.

    >>> synthetic_symbols(2)
    ('SYN01USDT', 'SYN02USDT')
    """
    return tuple(f"SYN{number:02d}USDT" for number in range(1, count + 1))


def is_synthetic(symbol: str) -> bool:
    """Return whether a symbol has the form of `synthetic_symbols`."""
    return re.fullmatch(r"SYN[^\W_]{1,20}(USDT|USDC|BTC)", symbol) is not None


def is_thin(symbol: str) -> bool:
    """Return whether a synthetic symbol trades seldom and follows the market late."""
    return _number(symbol) % 5 in THIN_OF_FIVE


class SyntheticMarket:
    """A market that never ends; each symbol's candles are generated in order, on first use."""

    end_ms = None
    begin_ms = ORIGIN_MS

    def __init__(self, symbols: Sequence[str], interval_ms: int, seed: int) -> None:
        """Prepare the symbols; nothing is generated yet."""
        self.symbols = tuple(symbols)
        self._interval_ms = interval_ms
        market = CommonFactor("market", seed, MARKET_DEVIATION)
        clusters = [
            CommonFactor(f"cluster {number}", seed, CLUSTER_DEVIATION) for number in range(CLUSTERS)
        ]
        self._walks = {
            symbol: RandomWalk(
                symbol, seed, (market, clusters[_number(symbol) % CLUSTERS]), thin=is_thin(symbol)
            )
            for symbol in symbols
        }

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


def _number(symbol: str) -> int:
    digits = symbol.removeprefix("SYN").removesuffix("USDT")
    return int(digits) if re.fullmatch("[0-9]+", digits) else zlib.crc32(symbol.encode())
