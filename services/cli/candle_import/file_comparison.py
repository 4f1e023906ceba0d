"""Compare the candles that several files have, before any of them is written."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cli.candle_import.file_selection import FileSelection, SymbolFile
from services.cli.candle_import.time_blocks import BlockSlice
from shared.adapters.dump_validation import NUMBERS
from shared.adapters.recording import Block, to_decimal
from shared.core.arrays import Float64s
from shared.core.errors import BadInput

_ROWS: Final = 65_536  # of overlapping files that are compared at a time
# Of a block's candles, in the order of `block_values`.
_NAMES: Final = (*NUMBERS, "quote volume", "trades", "taker-buy volume", "taker-buy quote volume")


def leave_out_contradictions(selection: FileSelection, step_ms: int) -> None:
    """Leave out files that have different values of the same candle.

    Numbers are compared, so `3300` and `3300.00` agree; what one file does not have agrees with
    everything.

    Args:
        selection: the files.
        step_ms: the interval.

    Raises:
        BadInput: a required file contradicts another one.
    """
    by_symbol: dict[str, list[SymbolFile]] = defaultdict(list)
    for file in selection.files:
        by_symbol[file.symbol].append(file)
    for files in by_symbol.values():
        for group in overlapping_groups(files):
            for paths, error in _contradictions(group, step_ms):
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
    """The candles of overlapping files in a span, by open time and then by file."""

    times: NDArray[np.int64]  # (n,)
    values: Float64s  # (n, 9)
    files: NDArray[np.int64]  # (n,): numbers of the files
    slices: Sequence[BlockSlice]
    places: NDArray[np.int64]  # (n, 2): number of the slice, and the row of its block

    def place(self, row: int) -> str:
        """Return file and line of a candle."""
        part, at = map(int, self.places[row])
        return self.slices[part].block.place(at)


def _contradictions(
    files: Sequence[SymbolFile], step_ms: int
) -> Iterator[tuple[list[Path], BadInput]]:
    """Yield each pair of files that contradict each other, with the first place."""
    counts, first = Counter[tuple[int, int]](), dict[tuple[int, int], str]()
    for rows in _read_together(files, step_ms):
        for row, other in _differing(rows):
            pair = (int(rows.files[other]), int(rows.files[row]))
            counts[pair] += 1
            if pair not in first:
                first[pair] = _describe(rows, other, row)
    for pair, description in first.items():
        message = (
            f"candle of {files[0].symbol} at open time {description}; candles that differ:"
            f" {counts[pair]}; delete the file that is wrong"
        )
        yield [files[number].path for number in pair], BadInput("contradiction", message)


def _differing(rows: _Rows) -> Iterator[tuple[int, int]]:
    """Yield each candle that differs from the first file's of its time, and that one."""
    _, first_rows, inverse = np.unique(rows.times, return_index=True, return_inverse=True)
    others = first_rows[inverse]
    for row in np.flatnonzero(differ(rows.values, rows.values[others])).tolist():
        yield row, int(others[row])


def _describe(rows: _Rows, first: int, second: int) -> str:
    ours, theirs = describe_difference(rows.values[first], rows.values[second])
    return (
        f"{rows.times[second]} ms has {ours} in {rows.place(first)}, and {theirs} in"
        f" {rows.place(second)}"
    )


def _read_together(files: Sequence[SymbolFile], step_ms: int) -> Iterator[_Rows]:
    """Yield the candles of overlapping files, a span of time after the other."""
    readers = [file.reader() for file in files]
    span_ms = max(_ROWS // len(files), 1) * step_ms
    while starts := [reader.next_ms for reader in readers if reader.next_ms is not None]:
        until_ms = min(starts) + span_ms
        yield _to_rows([list(reader.take(until_ms)) for reader in readers])


def _to_rows(by_file: Sequence[Sequence[BlockSlice]]) -> _Rows:
    slices = [part for parts in by_file for part in parts]
    lengths = [part.until - part.first for part in slices]
    times = np.concatenate([part.open_time_ms for part in slices])
    files = np.repeat(np.repeat(np.arange(len(by_file)), list(map(len, by_file))), lengths)
    numbers = np.repeat(np.arange(len(slices)), lengths)
    rows = np.concatenate([np.arange(part.first, part.until) for part in slices])
    values = np.concatenate([block_values(part.block)[part.first : part.until] for part in slices])
    order = np.lexsort((files, times))
    places = np.stack([numbers, rows], axis=1)
    return _Rows(times[order], values[order], files[order], slices, places[order])
