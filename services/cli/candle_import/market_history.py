"""The market's moves of an import: as the log has them, or computed from the closes of a moment.

A moment's move must not depend on where an import was interrupted. It does not: it is computed from
all recordings and from the log, whose own records of a moment are taken unless the recordings know
more symbols; then those records are of an interrupted import of fewer.
"""

from array import array
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from math import isnan, nan
from typing import Final

import numpy as np

from services.cli.candle_import.time_blocks import TimeBlock
from shared.core.arrays import Float64s
from shared.core.market import BasketDefinition, market_moves
from shared.core.records import Candle, MarketMove
from shared.core.sequence import MAX_BASKETS, baskets_code

# Change, symbols, version of the baskets, their number, and the change of each.
_MOVE_COLUMNS: Final = 4 + MAX_BASKETS
_SYMBOLS: Final = 1


@dataclass(slots=True)
class LoggedMarket:
    """What the candles of the log say of the market from a moment on."""

    from_ms: int
    step_ms: int
    # Of each moment (16): a MarketMove takes five times the memory.
    _moves: "array[float]" = field(default_factory=lambda: array("d"))
    # By symbol: open times and closes, one after the other, where a record has no move.
    closes: defaultdict[str, "array[float]"] = field(
        default_factory=lambda: defaultdict(lambda: array("d"))
    )
    _last: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, candle: Candle) -> None:
        """Add a symbol's next candle; one from before the moment is passed over."""
        if candle.open_time_ms < self.from_ms:
            return
        market, pair = candle.market, (float(candle.open_time_ms), candle.close)
        if market is None or market.change is None:
            # The close before belongs to the change, whatever its own record says.
            before = self._last.pop(candle.symbol, None)
            self.closes[candle.symbol].extend(pair if before is None else (*before, *pair))
            return
        self._last[candle.symbol] = pair
        self._keep(self._place(candle.open_time_ms), market)

    def move(self, time_ms: int) -> MarketMove | None:
        """Return the move over the most symbols, of the records of a moment; None: none has one."""
        place = self._place(time_ms)
        row = self._moves[place : place + _MOVE_COLUMNS]
        return None if not row or isnan(row[_SYMBOLS]) else _to_move(row.tolist())

    def _place(self, time_ms: int) -> int:
        return (time_ms - self.from_ms) // self.step_ms * _MOVE_COLUMNS

    def _keep(self, place: int, move: MarketMove) -> None:
        missing = place + _MOVE_COLUMNS - len(self._moves)
        if missing > 0:
            self._moves.extend(repeat(nan, missing))
        if not self._moves[place + _SYMBOLS] >= move.symbols:
            self._moves[place : place + _MOVE_COLUMNS] = array("d", _to_row(move))


class MarketHistory:
    """Gives the market's move at each moment of the blocks of an import, in order of time."""

    def __init__(
        self,
        symbols: Collection[str],
        baskets: BasketDefinition | None,
        logged: LoggedMarket,
        step_ms: int,
    ) -> None:
        """Take what a move may be computed from.

        Args:
            symbols: those of the recordings.
            baskets: the definition in force; None if there is none.
            logged: what the log has of the span of the recordings.
            step_ms: the interval.
        """
        self._columns = sorted({*symbols, *logged.closes})
        self._numbers = {symbol: number for number, symbol in enumerate(self._columns)}
        self._baskets, self._logged, self._step_ms = baskets, logged, step_ms
        self._last_ms, self._last_closes = -step_ms, np.full(len(self._columns), np.nan)

    def measure(self, block: TimeBlock) -> Mapping[int, MarketMove]:
        """Return the moves by open time; a moment at which nothing is known has none."""
        closes = self._closes(block)
        self._last_ms, self._last_closes = block.until_ms - self._step_ms, closes[-1].copy()
        computed = market_moves(closes, self._columns, self._columns, self._baskets)
        moves = {}
        for number, time_ms in enumerate(range(block.from_ms, block.until_ms, self._step_ms)):
            move = _over_most_symbols(self._logged.move(time_ms), computed.move(number))
            if move is not None:
                moves[time_ms] = move
        return moves

    def _closes(self, block: TimeBlock) -> Float64s:
        """Return the closes from the moment before a block on: (1 + moments, columns)."""
        first_ms = block.from_ms - self._step_ms
        closes = np.full(((block.until_ms - first_ms) // self._step_ms, len(self._columns)), np.nan)
        if self._last_ms == first_ms:
            closes[0] = self._last_closes
        for symbol, flat in self._logged.closes.items():
            times, values = np.frombuffer(flat).reshape(-1, 2).T
            start, end = np.searchsorted(times, [first_ms, block.until_ms])
            rows = (times[start:end].astype(np.int64) - first_ms) // self._step_ms
            closes[rows, self._numbers[symbol]] = values[start:end]
        for part in block.slices:
            rows = (part.open_time_ms - first_ms) // self._step_ms
            closes[rows, self._numbers[part.block.symbol]] = part.closes
        return closes


def _over_most_symbols(logged: MarketMove | None, computed: MarketMove | None) -> MarketMove | None:
    if logged is None or (computed is not None and computed.symbols > logged.symbols):
        return computed
    return logged


def _to_row(move: MarketMove) -> list[float]:
    changes = [nan if change is None else change for change in move.basket_changes]
    row = [nan if move.change is None else move.change, float(move.symbols)]
    row += [baskets_code(move.baskets), float(len(changes)), *changes]
    return row + [nan] * (_MOVE_COLUMNS - len(row))


def _to_move(row: list[float]) -> MarketMove:
    change, symbols, code, count, *changes = [None if isnan(value) else value for value in row]
    baskets = None if code is None else f"{int(code):08x}"
    return MarketMove(change, int(symbols or 0), baskets, tuple(changes[: int(count or 0)]))
