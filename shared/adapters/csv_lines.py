"""Check the form of a dump's lines, and say what is wrong with one."""

import re
from pathlib import Path
from typing import Final, NoReturn

from shared.core.errors import BadInput

COLUMNS: Final = 12
_WHOLE_NUMBER_COLUMNS: Final = frozenset({1, 7, 9})  # open time, close time, trades
_VOLUMES_FROM_COLUMN: Final = 7
_TRADES_COLUMN: Final = 9

_FRACTION: Final = r"\d{1,20}(?:\.\d{1,20})?"
_DECIMAL: Final = re.compile(_FRACTION, re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,17}", re.ASCII)
_TRADES: Final = re.compile(r"0{0,2}\d{1,15}", re.ASCII)
_EXPONENT: Final = re.compile(r"-?\d+(?:\.\d+)?[eE][-+]?\d+", re.ASCII)
_LINE: Final = (
    rf"\d{{1,17}}(?:,-?{_FRACTION}){{5}},\d{{1,17}},{_FRACTION},\d{{1,15}}(?:,{_FRACTION}){{3}}"
)
_ONE_LINE: Final = re.compile(_LINE, re.ASCII)
_ALL_LINES: Final = re.compile(rf"(?:{_LINE}\n)*+", re.ASCII)
_QUOTED: Final = re.compile(r'(?<![^,])"([^",]*)"(?![^,])')
_NOT_A_LETTER: Final = re.compile(r"[^a-z]")
# What headers call the first six columns, without all that is no letter.
_NAMES: Final = (
    {"opentime", "klineopentime", "timestamp", "time", "date", "opentimestamp", "opentimems"},
    {"open", "openprice", "o"},
    {"high", "highprice", "h"},
    {"low", "lowprice", "l"},
    {"close", "closeprice", "c"},
    {"volume", "vol", "v", "basevolume", "baseassetvolume", "volumebase"},
)


def unquote(lines: list[str]) -> list[str]:
    """Return lines without quotes around their fields and spaces beside the commas."""
    if not any('"' in line or " " in line or "\t" in line for line in lines):
        return lines
    return [_QUOTED.sub(r"\1", _strip_fields(line)) for line in lines]


def _strip_fields(line: str) -> str:
    return ",".join(field.strip() for field in line.split(","))


def check_header(path: Path, line: str) -> None:
    """Check that a header names a dump's columns.

    Raises:
        BadInput: it names others, or in another order.
    """
    names = [_NOT_A_LETTER.sub("", name.lower()) for name in line.split(",")]
    fits = len(names) >= len(_NAMES) and all(
        name in known for name, known in zip(names, _NAMES, strict=False)
    )
    if not fits:
        message = f"{path} line 1 is {line[:120]!r}, not the header of candles"
        raise BadInput(
            "unknown_header", f"{message}: a dump begins with open_time,open,high,low,close,volume"
        )
    if len(names) != COLUMNS:
        _raise_columns(f"{path} line 1", len(names), "wrong_columns")


def check_lines(path: Path, first_line: int, lines: list[str], *, is_first: bool) -> None:
    """Check the form of lines.

    Args:
        path: of their file.
        first_line: the number of the first.
        lines: without their ends.
        is_first: the first of them is the file's first candle.

    Raises:
        BadInput: a line is malformed; the message names the first.
    """
    # One match for all is faster than one for each; only a malformed block is searched again.
    if _ALL_LINES.fullmatch("\n".join((*lines, ""))):
        return
    for index, line in enumerate(lines):
        if not _ONE_LINE.fullmatch(line):
            place = f"{path} line {first_line + index}"
            _raise_malformed(place, line, is_first=is_first and index == 0)


def _raise_malformed(place: str, line: str, *, is_first: bool) -> NoReturn:
    if not line:
        message = f"{place} is empty, and lines follow: a candle may be missing; fetch it again"
        raise BadInput("blank_line", message)
    if "," not in line and any(other in line for other in (";", "\t", "|")):
        message = f"{place} is {line[:40]!r}: put commas between the fields"
        raise BadInput("wrong_separator", message)
    fields = line.split(",")
    if len(fields) != COLUMNS:
        is_truncated = len(fields) < COLUMNS and not is_first
        many = "too_many_columns" if len(fields) > COLUMNS else "wrong_columns"
        _raise_columns(place, len(fields), "truncated_line" if is_truncated else many)
    for column, value in enumerate(fields, start=1):
        _check_field(place, column, value)
    raise BadInput("malformed_line", f"{place} is {line[:120]!r}: fetch it again")


def _raise_columns(place: str, count: int, reason: str) -> NoReturn:
    advice = {
        "truncated_line": "fetch the file again",
        "too_many_columns": "leave the others out",
        "wrong_columns": "these are not the exchange's candles, or columns were removed",
    }
    message = f"{place} has {count} columns; a dump has {COLUMNS}: {advice[reason]}"
    raise BadInput(reason, message)


def _check_field(place: str, column: int, value: str) -> None:
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
    if column == _TRADES_COLUMN and not _TRADES.fullmatch(value):
        message = f"{place} column {column} is {value}, more than 15 digits: correct the line"
        raise BadInput("bad_optional_value", message)


def _is_number(column: int, value: str) -> bool:
    if column in _WHOLE_NUMBER_COLUMNS:
        return _WHOLE.fullmatch(value) is not None
    return _DECIMAL.fullmatch(value.removeprefix("-")) is not None
