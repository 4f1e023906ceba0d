"""Sequences of many symbols, kept compactly: a move of the market once for all who have it."""

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import Float64s, read_only64
from shared.core.records import Candle, MarketMove
from shared.core.sequence import (
    MARKET_CHANGE,
    SEQUENCE_COLUMNS,
    count_before,
    market_values,
    own_values,
)
from shared.core.sequence_mapping import SequenceMapping

OWN_COLUMNS: Final = MARKET_CHANGE  # those before the market's
_SLACK: Final = 1.25  # of all candles that are kept, until the older ones are dropped


class ArchivedSequences(SequenceMapping):
    """The sequences of an archive: a candle takes about 80 bytes here, and 200 in its sequence."""

    def __init__(
        self,
        own: Mapping[str, Float64s],
        move_numbers: Mapping[str, NDArray[np.int32]],
        moves: Float64s,
    ) -> None:
        """Take the parts.

        Args:
            own: by symbol: the columns before the market's (n, 9).
            move_numbers: by symbol: the row of `moves` that each candle has (n,).
            moves: columns of the market (moves, 15).
        """
        self._own, self._move_numbers, self._moves = own, move_numbers, moves

    @property
    def own(self) -> Mapping[str, Float64s]:
        """The columns before the market's (n, 9) by symbol."""
        return self._own

    def __getitem__(self, symbol: str) -> Float64s:
        """Return a symbol's sequence (n, columns)."""
        own = self._own[symbol]
        sequence = np.empty((len(own), SEQUENCE_COLUMNS))
        sequence[:, :OWN_COLUMNS] = own
        np.take(self._moves, self._move_numbers[symbol], axis=0, out=sequence[:, OWN_COLUMNS:])
        return read_only64(sequence)

    def __iter__(self) -> Iterator[str]:
        """Yield the symbols in their order."""
        return iter(self._own)

    def __len__(self) -> int:
        """Return the number of symbols."""
        return len(self._own)

    def since(self, from_ms: int) -> "ArchivedSequences":
        """Return the candles that open at a time or later, of the symbols that have any."""
        starts = {symbol: count_before(own, from_ms) for symbol, own in self._own.items()}
        kept = {symbol: start for symbol, start in starts.items() if start < len(self._own[symbol])}
        own = {symbol: self._own[symbol][start:] for symbol, start in kept.items()}
        numbers = {symbol: self._move_numbers[symbol][start:] for symbol, start in kept.items()}
        return ArchivedSequences(own, numbers, self._moves)

    def market_columns(self, symbol: str, rows: slice) -> Float64s:
        """Return the market's columns (n, 15) of some of a symbol's candles."""
        return read_only64(self._moves[self._move_numbers[symbol][rows]])


@dataclass(slots=True)
class MarketMoveTable:
    """Numbers the moves of the market: all symbols of a moment mostly share one."""

    _rows: "array[float]" = field(default_factory=lambda: array("d", market_values(None)))
    _numbers: dict[MarketMove, int] = field(default_factory=dict)
    # The candles of a moment lie together in the log, and the codec gives them one object.
    _last: MarketMove | None = None
    _last_number: int = 0

    def number(self, move: MarketMove | None) -> int:
        """Return the row of a move; 0 is the unknown one."""
        if move is not self._last:
            self._last, self._last_number = move, 0 if move is None else self._find(move)
        return self._last_number

    def _find(self, move: MarketMove) -> int:
        number = self._numbers.get(move)
        if number is None:
            number = self._numbers[move] = len(self._numbers) + 1
            self._rows.extend(market_values(move))
        return number

    def rows(self) -> Float64s:
        """Return the columns of the moves (moves, 15)."""
        return read_only64(np.frombuffer(self._rows).reshape(-1, SEQUENCE_COLUMNS - OWN_COLUMNS))


@dataclass(slots=True)
class _SymbolColumns:
    """A symbol's candles, row after row."""

    own: "array[float]" = field(default_factory=lambda: array("d"))
    move_numbers: "array[int]" = field(default_factory=lambda: array("i"))

    def __len__(self) -> int:
        return len(self.move_numbers)

    @property
    def last_ms(self) -> float:
        return self.own[-OWN_COLUMNS] if self.own else -1.0

    def append(self, candle: Candle, move_number: int) -> None:
        self.own.extend(own_values(candle))
        self.move_numbers.append(move_number)

    def find(self, open_time_ms: int) -> tuple[int, bool]:
        """Return the row of an open time, and whether a candle is there."""
        time, count = float(open_time_ms), len(self)
        at = bisect_left(range(count), time, key=lambda row: self.own[row * OWN_COLUMNS])
        return at, at < count and self.own[at * OWN_COLUMNS] == time

    def replace(self, at: int, candle: Candle) -> None:
        """Replace a row's candle, without the market's move."""
        start = at * OWN_COLUMNS
        self.own[start : start + OWN_COLUMNS] = array("d", own_values(candle))

    def insert(self, at: int, candle: Candle, move_number: int) -> None:
        """Insert a candle before a row."""
        start = at * OWN_COLUMNS
        self.own[start:start] = array("d", own_values(candle))
        self.move_numbers.insert(at, move_number)

    def keep(self, count: int) -> None:
        """Drop all but the newest candles."""
        del self.own[: -count * OWN_COLUMNS]
        del self.move_numbers[:-count]


class SequenceBuilder:
    """Collects the candles of each symbol as the log corrects them."""

    def __init__(self, keep: int | None = None, total: int | None = None) -> None:
        """Take the largest numbers of candles to keep, the newest; None: all.

        Args:
            keep: candles of a symbol.
            total: candles of all symbols together, in equal shares, of one each at least.
        """
        self._keep, self._total, self._count = keep, total, 0
        self._symbols: defaultdict[str, _SymbolColumns] = defaultdict(_SymbolColumns)
        self._moves = MarketMoveTable()

    def append(self, candle: Candle) -> bool:
        """Append a candle; return False if it is not newer than its symbol's newest."""
        columns = self._symbols[candle.symbol]
        if candle.open_time_ms <= columns.last_ms:
            return False
        columns.append(candle, self._moves.number(candle.market))
        self._count += 1
        if self._keep is not None and len(columns) >= 2 * self._keep:
            self._count -= len(columns) - self._keep
            columns.keep(self._keep)
        # Not at each candle: a trim moves all that are kept.
        if self._total is not None and self._count > self._total * _SLACK:
            self._trim()
        return True

    def amend(self, candle: Candle) -> None:
        """Replace the candle that opens at the same time, if there is one.

        The market's move stays where the amendment has none, as in a predictor's sequence.
        """
        columns = self._symbols.get(candle.symbol)
        at, is_there = (0, False) if columns is None else columns.find(candle.open_time_ms)
        if columns is None or not is_there:
            return
        columns.replace(at, candle)
        if candle.market is not None:
            columns.move_numbers[at] = self._moves.number(candle.market)

    def fill(self, candle: Candle) -> int | None:
        """Insert a candle at its time; return its row, or None if its symbol has it already."""
        columns = self._symbols[candle.symbol]
        at, is_there = columns.find(candle.open_time_ms)
        if is_there:
            return None
        columns.insert(at, candle, self._moves.number(candle.market))
        self._count += 1
        return at

    def sequences(self) -> ArchivedSequences:
        """Return the sequences, sorted by symbol."""
        self._trim()
        own, move_numbers = dict[str, Float64s](), dict[str, NDArray[np.int32]]()
        for symbol in sorted(self._symbols):
            columns = self._symbols[symbol]
            own[symbol] = read_only64(np.frombuffer(columns.own).reshape(-1, OWN_COLUMNS))
            move_numbers[symbol] = np.frombuffer(columns.move_numbers, dtype=np.int32)
        return ArchivedSequences(own, move_numbers, self._moves.rows())

    def _trim(self) -> None:
        """Drop the oldest candles of each symbol beyond the largest number to keep."""
        most = [] if self._keep is None else [self._keep]
        if self._total is not None and self._symbols:
            most.append(max(self._total // len(self._symbols), 1))
        if most:
            for columns in self._symbols.values():
                columns.keep(min(most))
            self._count = sum(map(len, self._symbols.values()))
