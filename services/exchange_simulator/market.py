"""Sources of candles: the interface, and candles recorded in files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from shared.adapters.candle_files import find_recordings, read_blocks
from shared.adapters.recording import Block, CandleRow, Recording
from shared.core.errors import BadInput


class Market(Protocol):
    """Final candles by symbol, those after the exchange's time too: `MarketView` hides them."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols traded."""

    @property
    def begin_ms(self) -> int:
        """The first open time of all symbols, in milliseconds."""

    @property
    def end_ms(self) -> int | None:
        """The end of the last candle in milliseconds; None if the market never ends."""

    def candles(self, symbol: str, from_ms: int, until_ms: int) -> "CandleSpan":
        """Return the candles that open in [from_ms, until_ms); none if the symbol is not traded."""


class CandleSpan(Protocol):
    """Consecutive candles of a symbol; rows are made only when they are read."""

    def __len__(self) -> int: ...

    def rows(self, first: int, until: int) -> Iterable[CandleRow]:
        """Return the rows from index `first` up to, not including, `until`."""


class RecordedMarket:
    """Recorded candles; a hole in the recording is a hole of the exchange."""

    def __init__(self, blocks: Mapping[str, Sequence[Block]], interval_ms: int) -> None:
        """Store validated blocks by symbol, ascending in time."""
        self._blocks = blocks
        self.symbols = tuple(blocks)
        self.begin_ms = min(int(parts[0].open_time_ms[0]) for parts in blocks.values())
        self.end_ms = (
            max(int(parts[-1].open_time_ms[-1]) for parts in blocks.values()) + interval_ms
        )

    def candles(self, symbol: str, from_ms: int, until_ms: int) -> "RecordedSpan":
        """Return the recorded candles with an open time in [from_ms, until_ms)."""
        slices = []
        for block in self._blocks.get(symbol, ()):
            first, until = np.searchsorted(block.open_time_ms, (from_ms, until_ms)).tolist()
            if first < until:
                slices.append((block, first, until))
        return RecordedSpan(slices)


class RecordedSpan:
    """Slices of blocks, one after another."""

    def __init__(self, slices: Sequence[tuple[Block, int, int]]) -> None:
        """Store the blocks, each with its first index and the index after its last."""
        self._slices = slices

    def __len__(self) -> int:
        return sum(until - first for _, first, until in self._slices)

    def rows(self, first: int, until: int) -> Iterator[CandleRow]:
        """Yield the rows from index `first` up to, not including, `until`."""
        start = 0
        for block, begin, end in self._slices:
            low, high = max(begin, begin + first - start), min(end, begin + until - start)
            if low < high:
                yield from block.rows(low, high)
            start += end - begin


def read_recordings(
    folder: Path, interval_ms: int, symbols: Sequence[str], max_symbols: int | None
) -> RecordedMarket:
    """Read a folder's recordings of one interval.

    Args:
        folder: the folder; files of other intervals are ignored.
        interval_ms: the interval to read.
        symbols: the symbols to read; none means all.
        max_symbols: the number of symbols to read at most, in alphabetical order.

    Raises:
        BadInput: no file has the interval, a symbol is missing, files overlap or are damaged.
    """
    recordings = [each for each in find_recordings([folder]) if each.interval_ms == interval_ms]
    wanted = _symbols_to_read(recordings, symbols, max_symbols)
    blocks: dict[str, list[Block]] = {}
    for recording in recordings:
        if wanted is None or recording.symbol is None or recording.symbol in wanted:
            _append_blocks(blocks, recording)
    chosen = sorted(blocks if wanted is None else wanted & blocks.keys())[:max_symbols]
    if missing := sorted(set(symbols) - set(chosen)):
        raise BadInput(
            "unknown_symbol", f"{folder} has no candles of {', '.join(missing)}: do not name them"
        )
    if not chosen:
        raise BadInput(
            "no_candles",
            f"{folder} has no candles of {interval_ms} ms: choose another folder or interval",
        )
    return RecordedMarket({symbol: blocks[symbol] for symbol in chosen}, interval_ms)


def _symbols_to_read(
    recordings: Sequence[Recording], symbols: Sequence[str], max_symbols: int | None
) -> set[str] | None:
    """Return the symbols to read, None for all.

    A file of many symbols does not name them, so it has to be read before they can be counted.
    """
    if symbols:
        return set(symbols)
    names = {recording.symbol for recording in recordings}
    if max_symbols is None or None in names:
        return None
    return set(sorted(filter(None, names))[:max_symbols])


def _append_blocks(blocks: dict[str, list[Block]], recording: Recording) -> None:
    for block in read_blocks(recording):
        earlier = blocks.setdefault(block.symbol, [])
        if earlier and block.open_time_ms[0] <= earlier[-1].open_time_ms[-1]:
            raise BadInput(
                "overlap",
                f"{recording.path} has {block.symbol} at {block.open_time_ms[0]} ms, "
                f"an earlier file reaches {earlier[-1].open_time_ms[-1]} ms: keep one of them",
            )
        earlier.append(block)
