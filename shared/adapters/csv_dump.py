"""The exchange's CSV dumps of klines."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.adapters.csv_lines import COLUMNS, check_header, check_lines, unquote
from shared.adapters.dump_validation import RowPosition, check_rows, find_scale
from shared.adapters.recording import Block, OffGridRows, Recording, set_aside_off_grid
from shared.core.errors import BadInput

BLOCK_LINES: Final = 8_192
_FIRST_LINES: Final = 64  # of the first block, from which a file's first time is known at once
_MOST_BLANK_LINES: Final = 10_000
_LETTER: Final = re.compile(r"[A-Za-z]")
# Columns of a dump: open to volume, and the four that a block has as optional ones.
_NUMBERS: Final = slice(1, 6)
_OPTIONAL: Final = slice(7, 11)


@dataclass(slots=True)
class _DumpProgress:
    """How far a file is read."""

    recording: Recording
    symbol: str
    line_number: int = 1
    last_ms: int = -1
    scale: int = 0  # units of a time that are a millisecond; 0: not known yet


def read_csv(
    recording: Recording, text: Iterable[str], on_off_grid: Callable[[OffGridRows], None]
) -> Iterator[Block]:
    """Yield the candles of a dump in blocks, ascending in time.

    Args:
        recording: names the file in errors.
        text: the lines of the dump, with or without ends, with or without a header.
        on_off_grid: takes the rows that are set aside.

    Raises:
        BadInput: a line is invalid, there is none, or the file's name has no symbol.
    """
    if recording.symbol is None:
        message = f"{recording.path}: a CSV dump needs its symbol in the file name"
        raise BadInput("bad_file_name", message)
    progress = _DumpProgress(recording, recording.symbol)
    lines = _skip_header(progress, _without_blank_end(recording.path, text))
    wanted = _FIRST_LINES
    while block := unquote(list(islice(lines, wanted))):
        wanted = BLOCK_LINES
        yield from _parse_block(progress, block, on_off_grid)
    if progress.last_ms < 0:
        raise BadInput("empty_file", f"{recording.path} has no candle: fetch it again")


def _without_blank_end(path: Path, text: Iterable[str]) -> Iterator[str]:
    """Yield the lines without their ends, and without blank lines at the end of the file.

    Raises:
        BadInput: there are too many blank lines.
    """
    blank = 0
    for line in text:
        if stripped := line.strip():
            yield from repeat("", blank)
            yield stripped
            blank = 0
        else:
            blank += 1
            if blank > _MOST_BLANK_LINES:
                message = f"{path} has {blank} empty lines in a row: fetch it again"
                raise BadInput("blank_line", message)


def _skip_header(progress: _DumpProgress, lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines after the header, if there is one."""
    for first in islice(lines, 1):
        if _LETTER.match(first.lstrip('"')):
            check_header(progress.recording.path, first)
            progress.line_number = 2
        else:
            yield first
    yield from lines


def _parse_block(
    progress: _DumpProgress, lines: list[str], on_off_grid: Callable[[OffGridRows], None]
) -> Iterator[Block]:
    """Check the next lines and yield their candles."""
    recording, first_line = progress.recording, progress.line_number
    check_lines(recording.path, first_line, lines, is_first=progress.last_ms < 0)
    fields = _parse_numbers(lines)
    times: NDArray[np.int64] = fields[:, [0, 6]].astype(np.int64)
    progress.scale = progress.scale or find_scale(int(times[0, 0]))
    progress.line_number += len(lines)
    numbers = np.arange(first_line, progress.line_number)
    position = RowPosition(recording.path, recording.interval_ms, progress.symbol, "line", numbers)
    on_grid = check_rows(
        position, times[:, 0], times[:, 1], fields[:, _NUMBERS], progress.last_ms, progress.scale
    )
    open_ms = times[:, 0] // progress.scale
    progress.last_ms = int(open_ms[-1])
    optional = fields[:, _OPTIONAL]
    block = Block(progress.symbol, open_ms, fields[:, _NUMBERS], lines, optional, position)
    yield from set_aside_off_grid(block, on_grid, on_off_grid)


def _parse_numbers(lines: list[str]) -> NDArray[np.float64]:
    """Return the numbers of checked lines (n, 12); whole ones are exact up to 2^53."""
    return np.fromstring(",".join(lines), sep=",").reshape(-1, COLUMNS)
