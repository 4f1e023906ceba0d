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

    def find(self, symbol: str, from_ms: int, until_ms: int) -> range:
        """Return the numbers of the candles that open in [from_ms, until_ms).

        The candles of a symbol are numbered in order of time; a symbol that is not traded has none.
        """

    def rows(self, symbol: str, numbers: range) -> Iterable[CandleRow]:
        """Return the candles with these numbers, which `find` gave."""


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

    def find(self, symbol: str, from_ms: int, until_ms: int) -> range:
        """Return the numbers of the candles recorded with an open time in [from_ms, until_ms)."""
        return range(self._count_before(symbol, from_ms), self._count_before(symbol, until_ms))

    def rows(self, symbol: str, numbers: range) -> Iterator[CandleRow]:
        """Yield the candles with these numbers."""
        begin = 0
        for block in self._blocks.get(symbol, ()):
            end = begin + len(block.open_time_ms)
            first, until = max(begin, numbers.start), min(end, numbers.stop)
            if first < until:
                yield from block.rows(first - begin, until - begin)
            begin = end

    def _count_before(self, symbol: str, time_ms: int) -> int:
        blocks = self._blocks.get(symbol, ())
        return sum(int(np.searchsorted(block.open_time_ms, time_ms)) for block in blocks)


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
