"""Collect candles that no model predicts from: as the fold does, at a fraction of its cost."""

from array import array
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from shared.core.arrays import read_only64
from shared.core.online.candle_order import check_begins, check_newer
from shared.core.online.partition import PartitionState
from shared.core.online.state import SymbolState
from shared.core.records import Candle, MarketMove
from shared.core.sequence import SEQUENCE_COLUMNS, SEQUENCE_LENGTH, market_values, own_values

_MOST_ROWS: Final = 2 * SEQUENCE_LENGTH  # of a symbol, before the oldest are dropped


@dataclass(slots=True)
class _CollectedRows:
    """A symbol's candles since its state, oldest first."""

    last_ms: int
    values: "array[float]" = field(default_factory=lambda: array("d"))

    def append(self, own: tuple[float, ...], market: tuple[float, ...]) -> None:
        self.values.extend(own)
        self.values.extend(market)
        if len(self.values) >= _MOST_ROWS * SEQUENCE_COLUMNS:
            del self.values[: -SEQUENCE_LENGTH * SEQUENCE_COLUMNS]


class SequenceCollector:
    """Adds candles to the sequences of a partition's symbols.

    Before a promotion a symbol's candles are only remembered. What `fold` makes of them one by one
    comes out here at once, bit for bit: most of a replay from the log alone is such candles.
    """

    def __init__(self) -> None:
        """Begin with nothing collected."""
        self._rows: dict[str, _CollectedRows] = {}
        # The candles of a moment share their move of the market, as one object.
        self._move: MarketMove | None = None
        self._market = market_values(None)

    def add(self, state: PartitionState, candle: Candle) -> None:
        """Collect a candle; a symbol's first one is checked against its state.

        Raises:
            BadInput: it is not newer than the symbol's newest: it changes nothing.
        """
        rows = self._rows.get(candle.symbol)
        if rows is None or candle.open_time_ms <= rows.last_ms:
            rows = self._check(state, candle)
        rows.append(own_values(candle), self._market_values(candle.market))
        rows.last_ms = candle.open_time_ms

    def flush(self, state: PartitionState, symbol: str) -> None:
        """Move a symbol's collected candles into its state."""
        rows = self._rows.pop(symbol, None)
        if rows is None:
            return
        before = state.symbols.get(symbol)
        if before is None or not len(before.sequence):
            before = SymbolState(symbol)
        collected = np.frombuffer(rows.values).reshape(-1, SEQUENCE_COLUMNS)
        sequence = np.concatenate((before.sequence, collected))[-SEQUENCE_LENGTH:]
        state.symbols[symbol] = before.replace(sequence=read_only64(sequence.copy()))

    def flush_all(self, state: PartitionState) -> None:
        """Move all collected candles into their symbols' states."""
        for symbol in list(self._rows):
            self.flush(state, symbol)

    def _check(self, state: PartitionState, candle: Candle) -> _CollectedRows:
        """Return a symbol's rows if a candle may follow them, or its state."""
        self.flush(state, candle.symbol)
        before = state.symbols.get(candle.symbol, SymbolState(candle.symbol))
        if not len(before.sequence):
            check_begins(before, candle)
        check_newer(before, candle)
        rows = self._rows[candle.symbol] = _CollectedRows(candle.open_time_ms)
        return rows

    def _market_values(self, move: MarketMove | None) -> tuple[float, ...]:
        if move is not self._move:
            self._move, self._market = move, market_values(move)
        return self._market
