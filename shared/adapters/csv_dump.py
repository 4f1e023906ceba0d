"""The exchange's CSV dumps of klines."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import Final

import numpy as np

from shared.adapters.dump_validation import MICROSECONDS_FROM, NUMBERS, RowPosition, check_rows
from shared.adapters.recording import Block, Recording
from shared.core.errors import BadInput

COLUMNS: Final = 12
BLOCK_LINES: Final = 8_192
_FIRST_LINES: Final = 64  # of the first block, from which a file's first time is known at once
_WHOLE_NUMBER_COLUMNS: Final = frozenset({1, 7, 9})  # open time, close time, trades
_VOLUMES_FROM_COLUMN: Final = 7

_FRACTION: Final = r"\d{1,20}(?:\.\d{1,20})?"
_DECIMAL: Final = re.compile(_FRACTION, re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,17}", re.ASCII)
_EXPONENT: Final = re.compile(r"-?\d+(?:\.\d+)?[eE][-+]?\d+", re.ASCII)
_LINE: Final = re.compile(
    rf"\d{{1,17}}(?:,-?{_FRACTION}){{5}},\d{{1,17}},{_FRACTION},\d{{1,17}}(?:,{_FRACTION}){{3}}",
    re.ASCII,
)


def read_csv(recording: Recording, text: Iterable[str]) -> Iterator[Block]:
    """Yield the candles of a dump in blocks, ascending in time.

    Args:
        recording: names the file in errors.
        text: the lines of the dump, with or without a header.

    Raises:
        BadInput: a line is invalid, or the file's name has no symbol.
    """
    symbol = recording.symbol
    if symbol is None:
        message = f"{recording.path}: a CSV dump needs its symbol in the file name"
        raise BadInput("bad_file_name", message)
    lines, line_number, scale, last_ms, wanted = _without_blank_end(text), 1, 0, -1, _FIRST_LINES
    while block := list(islice(lines, wanted)):
        wanted = BLOCK_LINES
        if line_number == 1 and _is_header(block[0]):
            block, line_number = block[1:], 2
        if not block:
            continue
        _check_lines(recording.path, line_number, block)
        scale = scale or (1000 if int(block[0].split(",", 1)[0]) >= MICROSECONDS_FROM else 1)
        numbers = np.arange(line_number, line_number + len(block))
        position = RowPosition(recording.path, recording.interval_ms, symbol, "line", numbers)
        candles = _parse_block(position, block, scale, last_ms)
        yield candles
        line_number, last_ms = line_number + len(block), int(candles.open_time_ms[-1])


def _without_blank_end(text: Iterable[str]) -> Iterator[str]:
    """Yield the lines without their ends, and without blank lines at the end of the file."""
    blank = 0
    for line in text:
        if stripped := line.rstrip("\r\n"):
            yield from repeat("", blank)
            yield stripped
            blank = 0
        else:
            blank += 1


def _parse_block(position: RowPosition, lines: list[str], scale: int, last_ms: int) -> Block:
    fields = np.array([line.split(",", 7)[:7] for line in lines])  # (n, 7) strings
    times, numbers = fields[:, [0, 6]].astype(np.int64), fields[:, 1:6].astype(np.float64)
    check_rows(position, times[:, 0], times[:, 1], numbers, last_ms, scale)
    return Block(position.symbol, times[:, 0] // scale, numbers, lines, position=position)


def _is_header(line: str) -> bool:
    names = line.lower().replace(" ", "_").split(",")
    return len(names) == COLUMNS and names[:6] == ["open_time", *NUMBERS]


def _check_lines(path: Path, first_line: int, lines: list[str]) -> None:
    for index, line in enumerate(lines):
        if not _LINE.fullmatch(line):
            _raise_malformed(f"{path} line {first_line + index}", line.split(","))


def _raise_malformed(place: str, fields: list[str]) -> None:
    found = f"{place} has {len(fields)} columns; a dump has {COLUMNS}"
    if len(fields) < COLUMNS:
        raise BadInput("truncated_line", f"{found}: fetch the file again")
    if len(fields) > COLUMNS:
        raise BadInput("too_many_columns", f"{found}: leave the others out")
    for column, value in enumerate(fields, start=1):
        if _EXPONENT.fullmatch(value):
            message = f"{place} column {column} is {value}, with an exponent: write out its digits"
            raise BadInput("exponent", message)
        if not _is_number(column, value):
            wanted = "a whole" if column in _WHOLE_NUMBER_COLUMNS else "a plain decimal"
            message = f"{place} column {column} is {value[:40]!r}, not {wanted} number"
            raise BadInput("not_a_number", f"{message}: correct the line")
        if value.startswith("-") and column >= _VOLUMES_FROM_COLUMN:
            message = f"{place} column {column} is {value}; the least is 0: correct the line"
            raise BadInput("negative_volume", message)


def _is_number(column: int, value: str) -> bool:
    if column in _WHOLE_NUMBER_COLUMNS:
        return _WHOLE.fullmatch(value) is not None
    return _DECIMAL.fullmatch(value.removeprefix("-")) is not None
