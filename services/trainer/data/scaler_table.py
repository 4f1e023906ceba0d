"""Reads scalers from a plain table of ranges, in place of pickles and joblib files."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from shared.adapters.bounded_text import read_lines
from shared.core.bounded_json import check_values
from shared.core.errors import BadInput
from shared.core.model.scaler import Scaler, scaler_from_ranges

MAX_TABLE_BYTES: Final = 16 * 1024 * 1024
MAX_TABLE_VALUES: Final = 400_000  # a symbol has about 25
# Of the feature set `levels`, in its order.
COLUMNS: Final = ("open", "high", "low", "close", "sine", "cosine")
_PRICES: Final = COLUMNS[:4]
_LIMITS: Final = dict.fromkeys(_PRICES, (1e-15, 1e15)) | dict.fromkeys(COLUMNS[4:], (-1.0, 1.0))
_WHOLE_DAY: Final = (-1.0, 1.0)  # the range of sine and cosine over all minutes of a day
_HEADER: Final = ["symbol", "column", "min", "max"]

Row: TypeAlias = tuple[str, str, Any, Any]
"""Symbol, column, minimum and maximum."""


def read_scalers(path: Path) -> dict[str, Scaler]:
    """Read the scalers of the feature set `levels`, by symbol.

    A .csv file has the columns symbol, column, min, max. A .json file is
    {"BTCUSDT": {"open": [min, max], ...}, ...}. `sine` and `cosine` may be left out: over a whole
    day each goes from -1 to 1.

    Raises:
        BadInput: the file is not such a table; the message names symbol, column, value and limit.
    """
    kinds: Mapping[str, Callable[[str], Iterator[Row]]] = {".csv": _csv_rows, ".json": _json_rows}
    rows = kinds.get(path.suffix.lower())
    if rows is None:
        raise _bad_table(path, "its name ends in neither .csv nor .json")
    ranges: dict[str, dict[str, tuple[float, float]]] = {}
    try:
        for symbol, column, low, high in rows(_read_text(path)):
            columns = ranges.setdefault(symbol, {})
            if column in columns:
                raise _bad_table(path, f"{symbol} has the column {column} twice")
            columns[column] = _check_range(path, symbol, column, low, high)
    except (csv.Error, ValueError, TypeError, RecursionError) as error:
        raise _bad_table(path, f"it cannot be read as {path.suffix} ({error})") from error
    if not ranges:
        raise _bad_table(path, "it has no symbols")
    return {symbol: _to_scaler(path, symbol, columns) for symbol, columns in sorted(ranges.items())}


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TABLE_BYTES + 1)
    except OSError as error:
        raise _bad_table(path, f"it cannot be read ({error})") from error
    if len(content) > MAX_TABLE_BYTES:
        raise _bad_table(path, f"it is larger than {MAX_TABLE_BYTES} bytes")
    return content.decode("utf-8-sig")


def _csv_rows(text: str) -> Iterator[Row]:
    lines = csv.reader(read_lines(Path("the table"), io.StringIO(text)), strict=True)
    header = next(lines, [])
    if header != _HEADER:
        raise ValueError(f"the first line is {','.join(header)!r}, wanted: {','.join(_HEADER)}")
    for cells in lines:
        if len(cells) != len(_HEADER):
            raise ValueError(
                f"line {lines.line_num} has {len(cells)} cells, wanted: {len(_HEADER)}"
            )
        yield cells[0], cells[1], cells[2], cells[3]


def _json_rows(text: str) -> Iterator[Row]:
    # Pairs and not dicts: in a dict a name that comes twice would go unnoticed.
    check_values(text, MAX_TABLE_VALUES)
    for symbol, columns in _check_pairs(json.loads(text, object_pairs_hook=tuple), "the table"):
        for column, ends in _check_pairs(columns, symbol):
            if not isinstance(ends, list) or len(ends) != 2:
                raise ValueError(f"{symbol}, {column} is {ends}, wanted: [min, max]")
            yield symbol, column, ends[0], ends[1]


def _check_pairs(value: object, name: str) -> tuple[tuple[str, Any], ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"{name} is not a JSON object")
    return value


def _check_range(
    path: Path, symbol: str, column: str, low: object, high: object
) -> tuple[float, float]:
    if column not in _LIMITS:
        raise _bad_table(path, f"{symbol} has the column {column!r}; allowed: {', '.join(COLUMNS)}")
    least, most = _LIMITS[column]
    numbers = []
    for name, value in (("min", low), ("max", high)):
        number = _to_number(value)
        if number is None or not least <= number <= most:
            raise _bad_table(
                path, f"{symbol}, {column}: {name} is {value!r}; allowed: {least:g} to {most:g}"
            )
        numbers.append(number)
    if numbers[1] < numbers[0]:
        raise _bad_table(
            path, f"{symbol}, {column}: max is {high!r}; allowed: at least min, {low!r}"
        )
    return numbers[0], numbers[1]


def _to_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _to_scaler(path: Path, symbol: str, columns: Mapping[str, tuple[float, float]]) -> Scaler:
    missing = [column for column in _PRICES if column not in columns]
    if missing:
        raise _bad_table(
            path, f"{symbol} has no {', '.join(missing)}; wanted: {', '.join(_PRICES)}"
        )
    ends = np.array([columns.get(column, _WHOLE_DAY) for column in COLUMNS])
    return scaler_from_ranges(ends[:, 0], ends[:, 1])


def _bad_table(path: Path, fault: str) -> BadInput:
    return BadInput("bad_scaler_table", f"{path}: {fault}")
