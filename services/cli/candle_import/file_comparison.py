"""Compare the candles that several files have, before any of them is written."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cli.candle_import.file_selection import FileSelection, SymbolFile
from shared.adapters.dump_validation import NUMBERS
from shared.adapters.recording import Block, to_decimal
from shared.core.arrays import Float64s
from shared.core.errors import BadInput

# Of a block's candles, in the order of `block_values`.
_NAMES: Final = (*NUMBERS, "quote volume", "trades", "taker-buy volume", "taker-buy quote volume")


def leave_out_contradictions(selection: FileSelection) -> None:
    """Leave out files that have different values of the same candle.

    Numbers are compared, so `3300` and `3300.00` agree; what one file does not have agrees with
    everything.

    Raises:
        BadInput: a required file contradicts another one.
    """
    by_symbol: dict[str, list[SymbolFile]] = defaultdict(list)
    for file in selection.files:
        by_symbol[file.symbol].append(file)
    for files in by_symbol.values():
        for group in overlapping_groups(files):
            for paths, error in _contradictions(group):
                selection.leave_out(paths, error)


def overlapping_groups(files: Iterable[SymbolFile]) -> Iterator[list[SymbolFile]]:
    """Yield files of a symbol whose spans of time overlap, two or more together."""
    group: list[SymbolFile] = []
    for file in sorted(files, key=lambda each: each.first_ms):
        if group and file.first_ms > max(each.last_ms for each in group):
            if len(group) > 1:
                yield group
            group = []
        group.append(file)
    if len(group) > 1:
        yield group


def block_values(block: Block) -> Float64s:
    """Return all numbers of a block's candles (n, 9), NaN where unknown."""
    optional = block.optional
    if optional is None:
        optional = np.full((len(block.numbers), 4), np.nan)
    return np.concatenate([block.numbers, optional], axis=1)


def differ(values: Float64s, others: Float64s) -> NDArray[np.bool_]:
    """Return which candles (n,) differ in a number that both have."""
    is_known = ~(np.isnan(values) | np.isnan(others))
    return np.asarray(((values != others) & is_known).any(axis=1))


def describe_difference(values: Float64s, others: Float64s) -> tuple[str, str]:
    """Return the numbers in which two candles differ, with their names, as each has them."""
    columns = np.flatnonzero((values != others) & ~(np.isnan(values) | np.isnan(others))).tolist()
    ours, theirs = (
        ", ".join(f"{_NAMES[column]} {to_decimal(float(numbers[column]))}" for column in columns)
        for numbers in (values, others)
    )
    return ours, theirs


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The candles of overlapping files, by open time and then by file."""

    times: NDArray[np.int64]  # (n,)
    values: Float64s  # (n, 9)
    files: NDArray[np.int64]  # (n,): numbers of the files
    blocks: Sequence[Block]
    places: NDArray[np.int64]  # (n, 2): number of the block, and the row in it

    def place(self, row: int) -> str:
        """Return file and line of a candle."""
        block, at = map(int, self.places[row])
        return self.blocks[block].place(at)


def _contradictions(files: Sequence[SymbolFile]) -> Iterator[tuple[list[Path], BadInput]]:
    """Yield each pair of files that contradict each other, with the first place."""
    rows = _read_all(files)
    # Compare each candle with the first file's of that time.
    _, first_rows, inverse = np.unique(rows.times, return_index=True, return_inverse=True)
    others = first_rows[inverse]
    wrong = np.flatnonzero(differ(rows.values, rows.values[others]))
    pairs = [(int(rows.files[others[row]]), int(rows.files[row])) for row in wrong.tolist()]
    counts, reported = Counter(pairs), set[tuple[int, int]]()
    for row, pair in zip(wrong.tolist(), pairs, strict=True):
        if pair not in reported:
            reported.add(pair)
            paths = [files[number].path for number in pair]
            yield paths, _contradiction(rows, int(others[row]), row, files[0].symbol, counts[pair])


def _contradiction(rows: _Rows, first: int, second: int, symbol: str, count: int) -> BadInput:
    ours, theirs = describe_difference(rows.values[first], rows.values[second])
    message = (
        f"candle of {symbol} at open time {rows.times[second]} ms has {ours} in"
        f" {rows.place(first)}, and {theirs} in {rows.place(second)}; candles that differ: {count};"
        " delete the file that is wrong"
    )
    return BadInput("contradiction", message)


def _read_all(files: Sequence[SymbolFile]) -> _Rows:
    by_file = [list(file.open_blocks()) for file in files]
    blocks = list(chain.from_iterable(by_file))
    lengths = [len(block.open_time_ms) for block in blocks]
    times = np.concatenate([block.open_time_ms for block in blocks])
    numbers = np.repeat(np.arange(len(files)), [len(parts) for parts in by_file])
    file_numbers = np.repeat(numbers, lengths)
    places = np.stack(
        [np.repeat(np.arange(len(blocks)), lengths), np.concatenate([*map(np.arange, lengths)])],
        axis=1,
    )
    values = np.concatenate([block_values(block) for block in blocks])
    order = np.lexsort((file_numbers, times))
    return _Rows(times[order], values[order], file_numbers[order], blocks, places[order])
