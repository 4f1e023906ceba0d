"""Recorded candles as values: a file, a block of its candles, one candle."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import compress
from math import isnan
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.adapters.dump_validation import RowPosition


class CandleRow(NamedTuple):
    """One recorded candle.

    Decimals are the exchange's strings, or the shortest ones that give the recorded float64.
    """

    symbol: str
    open_time_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str | None
    trades: int | None
    taker_buy_volume: str | None
    taker_buy_quote_volume: str | None


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of candles. `symbol` is None where only the file's column `symbol` names it."""

    path: Path
    symbol: str | None
    interval_ms: int


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that is left out: one word for machines, and a message for users."""

    path: Path
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class OffGridRows:
    """Rows of a block that open off the interval's grid, and the place of the first."""

    path: Path
    first: str
    first_ms: int
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Valid candles of one symbol, ascending in time."""

    symbol: str
    open_time_ms: NDArray[np.int64]  # (n,)
    numbers: NDArray[np.float64]  # (n, 5): open, high, low, close, volume
    lines: list[str] | None = field(repr=False)  # n lines of a dump; None: there are only floats
    # (n, 4): quote volume, trades, taker-buy volume and quote volume; NaN or None: unknown.
    optional: NDArray[np.float64] | None = None
    position: RowPosition | None = None  # in its file

    def rows(self, first: int = 0, until: int | None = None) -> Iterator[CandleRow]:
        """Yield candles `first` up to, not including, `until` (None: all) as exact decimals."""
        times = self.open_time_ms[first:until].tolist()
        if self.lines is not None:
            for time_ms, line in zip(times, self.lines[first:until], strict=True):
                yield _parse_line(self.symbol, time_ms, line)
            return
        columns = self.numbers[first:until].T.tolist()
        decimals = [[to_decimal(number) for number in column] for column in columns]
        rest = self._optional_columns(first, until, len(times))
        for time_ms, *fields in zip(times, *decimals, *rest, strict=True):
            yield CandleRow(self.symbol, time_ms, *fields)

    def select(self, wanted: NDArray[np.bool_]) -> "Block":
        """Return the block of some of its candles (n,)."""
        lines, position = self.lines, self.position
        return Block(
            self.symbol,
            self.open_time_ms[wanted],
            self.numbers[wanted],
            None if lines is None else list(compress(lines, wanted)),
            None if self.optional is None else self.optional[wanted],
            None if position is None else replace(position, numbers=position.numbers[wanted]),
        )

    def place(self, at: int) -> str:
        """Return a candle's file and line or row."""
        p = self.position
        return "" if p is None else f"{p.path} {p.unit} {p.numbers[at]}"

    def _optional_columns(
        self, first: int, until: int | None, count: int
    ) -> Iterable[Iterable[str | int | None]]:
        if self.optional is None:
            return ((None,) * count,) * 4
        quote, trades, taker, taker_quote = self.optional[first:until].T.tolist()
        whole = [None if isnan(number) else int(number) for number in trades]
        known = _known_decimals
        return (known(quote), whole, known(taker), known(taker_quote))


def set_aside_off_grid(
    block: Block, on_grid: NDArray[np.bool_], on_off_grid: Callable[[OffGridRows], None]
) -> Iterator[Block]:
    """Yield a block without the rows that are off the grid; nothing if all are.

    Args:
        block: the rows of a file.
        on_grid: which of them open on the grid (n,).
        on_off_grid: takes the others.
    """
    if on_grid.all():
        yield block
        return
    others = block.select(~on_grid)
    if others.position is not None:
        first = others.position
        place = f"{first.unit} {first.numbers[0]}"
        first_ms = int(others.open_time_ms[0])
        on_off_grid(OffGridRows(first.path, place, first_ms, len(others.open_time_ms)))
    if on_grid.any():
        yield block.select(on_grid)


def _parse_line(symbol: str, time_ms: int, line: str) -> CandleRow:
    _, opened, high, low, close, volume, _, quote, trades, taker, taker_quote, _ = line.split(",")
    return CandleRow(
        symbol, time_ms, opened, high, low, close, volume, quote, int(trades), taker, taker_quote
    )


def _known_decimals(numbers: list[float]) -> list[str | None]:
    return [None if isnan(number) else to_decimal(number) for number in numbers]


def to_decimal(number: float) -> str:
    """Return the shortest plain decimal that gives a float64."""
    text = repr(number)
    return format(Decimal(text), "f") if "e" in text else text
