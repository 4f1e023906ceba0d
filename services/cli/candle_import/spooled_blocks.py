"""Blocks of candles, out of memory: an import needs each several times, and has too many."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.adapters.recording import Block
from shared.adapters.spool import Chunk, Spool

# All symbols of a moment are read side by side, each a chunk at a time: 80 kB for a dump's lines.
_ROWS: Final = 128
_NUMBERS: Final = 5
_OPTIONAL: Final = 4
_NEWLINE: Final = "\n"


@dataclass(slots=True)
class SpooledBlocks:
    """The blocks of one symbol of a file, ascending in time.

    Attributes:
        spool: keeps the blocks.
        first_ms: open time of the first candle; -1: there is none.
        last_ms: open time of the last one.
    """

    spool: Spool
    first_ms: int = -1
    last_ms: int = -1
    _places: "array[int]" = field(default_factory=lambda: array("q"))  # three of each chunk
    _example: Block | None = None  # without candles: what all chunks have in common
    _waiting: list[Block] = field(default_factory=list)
    _rows_waiting: int = 0

    def append(self, block: Block) -> None:
        """Append the next block.

        Raises:
            BadSetting: the disk is full.
        """
        if self._example is None:
            self.first_ms = int(block.open_time_ms[0])
            self._example = block.select(np.zeros(len(block.open_time_ms), dtype=bool))
        self.last_ms = int(block.open_time_ms[-1])
        self._waiting.append(block)
        self._rows_waiting += len(block.open_time_ms)
        if self._rows_waiting >= _ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the waiting rows as chunks: a file of many symbols has a few rows of each."""
        if not self._waiting:
            return
        whole = join_blocks(self._waiting)
        for first in range(0, self._rows_waiting, _ROWS):
            self._places.extend(self.spool.append(_encode(whole, slice(first, first + _ROWS))))
        self._waiting, self._rows_waiting = [], 0

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks, in small ones."""
        if self._example is not None:
            for at in range(0, len(self._places), 3):
                chunk = Chunk(*self._places[at : at + 3])
                yield _decode(self._example, self.spool.read(chunk))


def join_blocks(blocks: Sequence[Block]) -> Block:
    """Return blocks of one symbol of a file as one."""
    first, positions = blocks[0], [block.position for block in blocks]
    rows = [position.numbers for position in positions if position is not None]
    position = None if first.position is None else replace(first.position, numbers=_join(rows))
    optional = [block.optional for block in blocks if block.optional is not None]
    return Block(
        first.symbol,
        _join([block.open_time_ms for block in blocks]),
        np.concatenate([block.numbers for block in blocks]),
        None if first.lines is None else [line for block in blocks for line in block.lines or ()],
        np.concatenate(optional) if optional else None,
        position,
    )


def _join(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts)


def _encode(block: Block, rows: slice) -> bytes:
    """Return some rows of a block as bytes: column after column, and then the lines.

    Times and numbers of rows ascend evenly, so their differences take next to nothing.
    """
    times, numbers = block.open_time_ms[rows], block.numbers[rows]
    row_numbers = times if block.position is None else block.position.numbers[rows]
    parts = [len(times).to_bytes(8, "little"), _differences(times), _differences(row_numbers)]
    parts.append(numbers.T.tobytes())
    if block.optional is not None:
        parts.append(block.optional[rows].T.tobytes())
    if block.lines is not None:
        parts.append(_NEWLINE.join(block.lines[rows]).encode())
    return b"".join(parts)


def _decode(example: Block, data: bytes) -> Block:
    """Return rows as a block, with the file, the symbol and the kinds of columns of `example`."""
    count, at = int.from_bytes(data[:8], "little"), 8
    times = np.cumsum(np.frombuffer(data, np.int64, count, at))
    rows = np.cumsum(np.frombuffer(data, np.int64, count, at + 8 * count))
    at += 16 * count
    numbers = np.frombuffer(data, np.float64, count * _NUMBERS, at).reshape(_NUMBERS, count).T
    at += 8 * count * _NUMBERS
    optional, position = None, example.position
    if example.optional is not None:
        optional = np.frombuffer(data, np.float64, count * _OPTIONAL, at)
        optional = optional.reshape(_OPTIONAL, count).T
        at += 8 * count * _OPTIONAL
    return Block(
        example.symbol,
        times,
        numbers,
        None if example.lines is None else data[at:].decode().split(_NEWLINE),
        optional,
        None if position is None else replace(position, numbers=rows),
    )


def _differences(ascending: NDArray[np.int64]) -> bytes:
    return np.diff(ascending, prepend=np.int64(0)).tobytes()
