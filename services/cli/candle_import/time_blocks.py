"""Read many recordings together, a block of time after the other, in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.adapters.recording import Block, CandleRow

# Rows as text take about 700 bytes each, so a block of time holds about 40 MB of them.
_ROWS: Final = 60_000
_MOMENTS: Final = (12, 2_048)  # of a block: the least and the most


@dataclass(frozen=True, slots=True, eq=False)
class BlockSlice:
    """Candles `first` up to, not including, `until` of a block."""

    block: Block
    first: int
    until: int

    @property
    def open_time_ms(self) -> NDArray[np.int64]:
        """Open times (n,)."""
        return self.block.open_time_ms[self.first : self.until]

    @property
    def closes(self) -> NDArray[np.float64]:
        """Closes (n,)."""
        return self.block.numbers[self.first : self.until, 3]


@dataclass(frozen=True, slots=True, eq=False)
class TimeBlock:
    """All candles that open in a span of time; its end is not part of it."""

    from_ms: int
    until_ms: int
    slices: Sequence[BlockSlice]

    def rows(self, skip: Callable[[BlockSlice], bool] = lambda _: False) -> list[CandleRow]:
        """Return the candles by open time, and by symbol within it; without slices to skip."""
        parts = [part for part in self.slices if not skip(part)]
        rows = [row for part in parts for row in part.block.rows(part.first, part.until)]
        rows.sort(key=attrgetter("open_time_ms", "symbol"))
        return rows


class RecordingReader:
    """Reads one symbol of a recording as time goes on, a block at a time."""

    def __init__(self, symbol: str, first_ms: int, blocks: Iterable[Block]) -> None:
        """Take the first open time and the blocks, ascending in time: none is read before it."""
        self.symbol, self.first_ms = symbol, first_ms
        self.next_ms: int | None = first_ms  # open time of the next candle; None: there is none
        self._source = blocks
        self._blocks: Iterator[Block] | None = None
        self._block: Block | None = None
        self._at = 0

    def take(self, until_ms: int) -> Iterator[BlockSlice]:
        """Yield the next candles, those that open before a time."""
        while self.next_ms is not None and self.next_ms < until_ms:
            block = self._current_block()
            if block is None:
                self.next_ms = None
                return
            until = int(np.searchsorted(block.open_time_ms, until_ms))
            yield BlockSlice(block, self._at, until)
            self._advance(block, until)

    def _current_block(self) -> Block | None:
        if self._blocks is None:
            self._blocks = iter(self._source)
        if self._block is None:
            self._block, self._at = next(self._blocks, None), 0
        return self._block

    def _advance(self, block: Block, until: int) -> None:
        self._at = until
        if until == len(block.open_time_ms):
            self._block = None
            following = self._current_block()
            self.next_ms = None if following is None else int(following.open_time_ms[0])
        else:
            self.next_ms = int(block.open_time_ms[until])


def read_time_blocks(readers: Sequence[RecordingReader], step_ms: int) -> Iterator[TimeBlock]:
    """Yield the candles of all readers in blocks of time; a time without any is passed over."""
    least, most = _MOMENTS
    symbols = len({reader.symbol for reader in readers})
    span_ms = min(max(_ROWS // max(symbols, 1), least), most) * step_ms
    # Years of dumps are many files, and few of them have candles of one time.
    waiting = deque(sorted(readers, key=attrgetter("first_ms")))
    current: list[RecordingReader] = []
    while current or waiting:
        starts = [reader.next_ms for reader in (*current, *islice(waiting, 1))]
        from_ms = min(start for start in starts if start is not None)
        until_ms = from_ms + span_ms
        while waiting and waiting[0].first_ms < until_ms:
            current.append(waiting.popleft())
        slices = [part for reader in current for part in reader.take(until_ms)]
        current = [reader for reader in current if reader.next_ms is not None]
        yield TimeBlock(from_ms, until_ms, slices)
