"""The market's moves of a span, recomputed from the closes of many symbols.

A log may have no moves in a span, or those of other baskets: its candles are older than the
baskets, or were written when fewer symbols were known. What is learnt from them, and what is scored
on them, takes the moves from a table instead.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import Float64s, read_only64
from shared.core.market import BasketDefinition, market_moves
from shared.core.sequence import (
    BASKET_CHANGES,
    BASKETS,
    CLOSE,
    MARKET_CHANGE,
    MARKET_SYMBOLS,
    OPEN_TIME,
    SEQUENCE_COLUMNS,
    baskets_code,
)
from shared.core.sequence_mapping import SelectedSequences, SequenceMapping, own_columns

_MOMENTS: Final = 4_096  # measured at a time: 2,000 symbols take 64 MB then


@dataclass(frozen=True, slots=True, eq=False)
class MarketTable:
    """The columns of the market at moments that follow each other."""

    from_ms: int
    step_ms: int
    columns: Float64s  # (moments, 15): those of a sequence from MARKET_CHANGE on

    def at(self, times_ms: Float64s) -> Float64s:
        """Return the columns (n, 15) at open times of the span."""
        moments = (times_ms.astype(np.int64) - self.from_ms) // self.step_ms
        return self.columns[moments]


def with_market(
    logged: Mapping[str, Float64s],
    symbols: Collection[str],
    baskets: BasketDefinition | None,
    step_ms: int,
) -> "MarketSequences":
    """Return sequences with the market's moves; those that the log lacks are recomputed.

    Args:
        logged: sequences (n, columns) of all symbols, at least one.
        symbols: those wanted; none means all.
        baskets: the definition that the moves must be of; None: of any, or of none.
        step_ms: the interval.
    """
    table = tabulate_market(own_columns(logged), baskets, step_ms)
    wanted = [symbol for symbol in logged if not symbols or symbol in symbols]
    return MarketSequences(SelectedSequences(logged, wanted), baskets, table)


def tabulate_market(
    candles: Mapping[str, Float64s],
    baskets: BasketDefinition | None,
    step_ms: int,
    market: Collection[str] = (),
) -> MarketTable:
    """Measure the market's move at every moment of a span.

    Args:
        candles: sequences by symbol, or their first columns up to the close (n, 5 or more).
        baskets: the definition; None if there is none.
        step_ms: the interval.
        market: the symbols that the median is of; none means all.
    """
    symbols = [symbol for symbol in candles if len(candles[symbol])]
    from_ms = min(int(candles[symbol][0, OPEN_TIME]) for symbol in symbols)
    through_ms = max(int(candles[symbol][-1, OPEN_TIME]) for symbol in symbols)
    moments = (through_ms - from_ms) // step_ms + 1
    columns = np.full((moments, SEQUENCE_COLUMNS - MARKET_CHANGE), np.nan)
    for first in range(0, moments, _MOMENTS):
        until = min(first + _MOMENTS, moments)
        grid = (from_ms + (first - 1) * step_ms, from_ms + until * step_ms, step_ms)
        closes = closes_on_grid(candles, symbols, *grid)
        moves = market_moves(closes, symbols, market or symbols, baskets)
        part = columns[first:until]
        part[:, 0], part[:, MARKET_SYMBOLS - MARKET_CHANGE] = moves.changes, moves.symbols
        part[:, BASKETS - MARKET_CHANGE] = baskets_code(moves.baskets)
        start = BASKET_CHANGES.start - MARKET_CHANGE
        part[:, start : start + moves.basket_changes.shape[1]] = moves.basket_changes
    return MarketTable(from_ms, step_ms, read_only64(columns))


def closes_on_grid(
    candles: Mapping[str, Float64s], symbols: list[str], from_ms: int, until_ms: int, step_ms: int
) -> Float64s:
    """Return the closes (moments, symbols) from one time up to, not including, another.

    NaN where a symbol has no candle.
    """
    closes = np.full(((until_ms - from_ms) // step_ms, len(symbols)), np.nan)
    for number, symbol in enumerate(symbols):
        times = candles[symbol][:, OPEN_TIME]
        start, end = np.searchsorted(times, [from_ms, until_ms])
        moments = (times[start:end].astype(np.int64) - from_ms) // step_ms
        closes[moments, number] = candles[symbol][start:end, CLOSE]
    return closes


class MarketSequences(SequenceMapping):
    """Sequences whose moves of the market are the log's where these fit, else a table's."""

    def __init__(
        self, logged: Mapping[str, Float64s], baskets: BasketDefinition | None, table: MarketTable
    ) -> None:
        """Take the log's sequences and the table.

        Args:
            logged: sequences (n, columns) by symbol.
            baskets: the definition that the moves must be of; None: of any, or of none.
            table: the moves of the span, of that definition.
        """
        self.baskets = baskets
        self._logged, self._table = logged, table

    @property
    def own(self) -> Mapping[str, Float64s]:
        """The columns before the market's (n, 9), or the sequences if they are there anyway."""
        return own_columns(self._logged)

    def __getitem__(self, symbol: str) -> Float64s:
        """Return a symbol's sequence (n, columns), which is built anew each time."""
        sequence = self._logged[symbol].copy()
        missing = ~self._fits(sequence)
        sequence[missing, MARKET_CHANGE:] = self._table.at(sequence[missing, OPEN_TIME])
        return read_only64(sequence)

    def __iter__(self) -> Iterator[str]:
        """Yield the symbols in their order."""
        return iter(self._logged)

    def __len__(self) -> int:
        """Return the number of symbols."""
        return len(self._logged)

    def recomputed_share(self) -> float:
        """Return the share of candles whose move is the table's."""
        fits = [self._fits(self._logged[symbol]) for symbol in self]
        candles = sum(map(len, fits))
        return 1.0 - sum(int(each.sum()) for each in fits) / candles if candles else 0.0

    def _fits(self, sequence: Float64s) -> NDArray[np.bool_]:
        is_known = np.isfinite(sequence[:, MARKET_CHANGE])
        if self.baskets is not None:
            is_known &= sequence[:, BASKETS] == baskets_code(self.baskets.version)
        return is_known
