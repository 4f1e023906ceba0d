"""What is traded: recorded candles, or plainly synthetic ones."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from shared.adapters.candle_files import Block, CandleRow, Recording, find, read_blocks
from shared.core.errors import BadInput


class CandleSource(Protocol):
    """Final candles by symbol. It knows the future; who asks takes care to look no further than exchange time."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols traded."""

    @property
    def begin_ms(self) -> int:
        """The first open time of any symbol."""

    @property
    def end_ms(self) -> int | None:
        """Where the last candle of all ends; None if there is none."""

    def candles(self, symbol: str, from_ms: int, until_ms: int) -> "Candles":
        """Return the candles with an open time in [from_ms, until_ms); empty if the symbol is not traded."""


class Candles(Protocol):
    """A stretch of a symbol's candles, made into rows only where they are looked at."""

    def __len__(self) -> int: ...

    def rows(self, first: int, until: int) -> Iterable[CandleRow]:
        """Return the rows from index `first` up to, not including, `until`."""


class RecordedMarket:
    """Recorded candles. Where the recording has a hole the exchange stands still, as it did then."""

    def __init__(self, blocks: Mapping[str, Sequence[Block]], interval_ms: int) -> None:
        """Take checked blocks by symbol, ascending in time."""
        self._blocks = blocks
        self.symbols = tuple(blocks)
        self.begin_ms = min(int(parts[0].open_time_ms[0]) for parts in blocks.values())
        self.end_ms = (
            max(int(parts[-1].open_time_ms[-1]) for parts in blocks.values()) + interval_ms
        )

    def candles(self, symbol: str, from_ms: int, until_ms: int) -> "Stretch":
        """Return the recorded candles with an open time in [from_ms, until_ms)."""
        pieces = []
        for block in self._blocks.get(symbol, ()):
            first, until = np.searchsorted(block.open_time_ms, (from_ms, until_ms)).tolist()
            if first < until:
                pieces.append((block, first, until))
        return Stretch(pieces)


class Stretch:
    """Parts of blocks, one after the other."""

    def __init__(self, pieces: Sequence[tuple[Block, int, int]]) -> None:
        """Take blocks, each with the span of indices that belongs to the stretch."""
        self._pieces = pieces

    def __len__(self) -> int:
        return sum(until - first for _, first, until in self._pieces)

    def rows(self, first: int, until: int) -> Iterator[CandleRow]:
        """Yield the rows from index `first` up to, not including, `until`."""
        start = 0
        for block, begin, end in self._pieces:
            low, high = max(begin, begin + first - start), min(end, begin + until - start)
            if low < high:
                yield from block.rows(low, high)
            start += end - begin


def recorded(
    folder: Path, interval_ms: int, symbols: Sequence[str], count: int | None
) -> RecordedMarket:
    """Read a folder's recordings of one interval.

    Args:
        folder: where the files are; those of other intervals are left out.
        interval_ms: the interval wanted.
        symbols: those wanted; none means all.
        count: how many of them at most, in alphabetical order.

    Raises:
        BadInput: nothing fits, a symbol is missing, files overlap, or a file is damaged.
    """
    fitting = [found for found in find([folder]) if found.interval_ms == interval_ms]
    wanted = _wanted(fitting, symbols, count)
    blocks: dict[str, list[Block]] = {}
    for recording in fitting:
        if wanted is None or recording.symbol is None or recording.symbol in wanted:
            _add(blocks, recording)
    chosen = sorted(blocks if wanted is None else wanted & blocks.keys())[:count]
    if missing := sorted(set(symbols) - set(chosen)):
        raise BadInput(
            "unknown_symbol", f"{folder} has no candles of {', '.join(missing)}: leave them out"
        )
    if not chosen:
        raise BadInput(
            "no_candles", f"{folder} has no candles of {interval_ms} ms: name a folder that has"
        )
    return RecordedMarket({symbol: blocks[symbol] for symbol in chosen}, interval_ms)


def _wanted(
    recordings: Sequence[Recording], symbols: Sequence[str], count: int | None
) -> set[str] | None:
    """Return the symbols to read, None for all: a wide file says what it holds only when it is read."""
    if symbols:
        return set(symbols)
    names = {recording.symbol for recording in recordings}
    return None if count is None or None in names else set(sorted(filter(None, names))[:count])


def _add(blocks: dict[str, list[Block]], recording: Recording) -> None:
    for block in read_blocks(recording):
        earlier = blocks.setdefault(block.symbol, [])
        if earlier and block.open_time_ms[0] <= earlier[-1].open_time_ms[-1]:
            raise BadInput(
                "overlap",
                f"{recording.path} has {block.symbol} at {block.open_time_ms[0]} ms, "
                f"and a file before it reaches {earlier[-1].open_time_ms[-1]} ms: keep one of them",
            )
        earlier.append(block)
