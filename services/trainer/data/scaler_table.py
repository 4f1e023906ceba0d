"""A table of ranges as scalers: what scikit-learn's MinMaxScaler was fitted on, as numbers. No pickle, no joblib."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared.core.errors import BadInput
from shared.core.model.scaler import Scaler, scaler_from_ranges

MAX_TABLE_BYTES: Final = 16 * 1024 * 1024
COLUMNS: Final = (
    "open",
    "high",
    "low",
    "close",
    "sine",
    "cosine",
)  # of the feature set `levels`, in its order
_LIMITS: Final = dict.fromkeys(COLUMNS[:4], (1e-15, 1e15)) | dict.fromkeys(COLUMNS[4:], (-1.0, 1.0))
_WHOLE_DAY: Final = (-1.0, 1.0)  # sine and cosine of all the minutes of a day
_HEADER: Final = ["symbol", "column", "min", "max"]

Row = tuple[str, str, Any, Any]
"""Symbol, column, least and greatest value."""


def read_scalers(path: Path) -> dict[str, Scaler]:
    """Return the scalers, by symbol, of a table of ranges for the feature set `levels`.

    A .csv file has the columns symbol, column, min, max; a .json file is {"BTCUSDT": {"open": [min, max], ...}, ...}.
    `sine` and `cosine` may be left out: over a whole day each goes from -1 to 1.

    Raises:
        BadInput: it is no such table, or a range cannot be; the message names symbol, column, value and limit.
    """
    kinds: Mapping[str, Callable[[str], Iterator[Row]]] = {".csv": _csv_rows, ".json": _json_rows}
    rows = kinds.get(path.suffix.lower())
    if rows is None:
        raise _bad(path, "its name ends in neither .csv nor .json")
    ranges: dict[str, dict[str, tuple[float, float]]] = {}
    try:
        for symbol, column, low, high in rows(_text(path)):
            of_symbol = ranges.setdefault(symbol, {})
            if column in of_symbol:
                raise _bad(path, f"{symbol} has the column {column} twice")
            of_symbol[column] = _range(path, symbol, column, low, high)
    except (csv.Error, ValueError, TypeError, RecursionError) as error:
        raise _bad(path, f"it cannot be read as {path.suffix} ({error})") from error
    if not ranges:
        raise _bad(path, "it has no symbols")
    return {symbol: _scaler(path, symbol, found) for symbol, found in sorted(ranges.items())}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TABLE_BYTES + 1)
    except OSError as error:
        raise _bad(path, f"it cannot be read ({error})") from error
    if len(content) > MAX_TABLE_BYTES:
        raise _bad(path, f"it is larger than {MAX_TABLE_BYTES} bytes")
    return content.decode("utf-8-sig")


def _csv_rows(text: str) -> Iterator[Row]:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(lines, [])
    if header != _HEADER:
        message = f"the first line is {','.join(header)!r}, wanted: {','.join(_HEADER)}"
        raise ValueError(message)
    for cells in lines:
        if len(cells) != len(_HEADER):
            message = f"line {lines.line_num} has {len(cells)} cells, wanted: {len(_HEADER)}"
            raise ValueError(message)
        yield cells[0], cells[1], cells[2], cells[3]


def _json_rows(text: str) -> Iterator[Row]:
    # Pairs, as a name that is there twice must not go unseen.
    for symbol, columns in _pairs(json.loads(text, object_pairs_hook=tuple), "the table"):
        for column, ends in _pairs(columns, symbol):
            if not isinstance(ends, list) or len(ends) != 2:
                message = f"{symbol}, {column} is {ends}, wanted: [min, max]"
                raise ValueError(message)
            yield symbol, column, ends[0], ends[1]


def _pairs(found: object, name: str) -> tuple[tuple[str, Any], ...]:
    if not isinstance(found, tuple):
        message = f"{name} is no object of names"
        raise TypeError(message)
    return found


def _range(path: Path, symbol: str, column: str, low: object, high: object) -> tuple[float, float]:
    if column not in _LIMITS:
        raise _bad(path, f"{symbol} has the column {column!r}; allowed: {', '.join(COLUMNS)}")
    least, most = _LIMITS[column]
    numbers = []
    for name, value in (("min", low), ("max", high)):
        number = _number(value)
        if number is None or not least <= number <= most:
            raise _bad(
                path, f"{symbol}, {column}: {name} is {value!r}; allowed: {least:g} to {most:g}"
            )
        numbers.append(number)
    if numbers[1] < numbers[0]:
        raise _bad(path, f"{symbol}, {column}: max is {high!r}; allowed: from min, {low!r}, on")
    return numbers[0], numbers[1]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _scaler(path: Path, symbol: str, found: Mapping[str, tuple[float, float]]) -> Scaler:
    missing = [column for column in COLUMNS[:4] if column not in found]
    if missing:
        raise _bad(
            path,
            f"{symbol} has no {', '.join(missing)}; wanted: {', '.join(COLUMNS)}, the last two if you like",
        )
    ends = np.array([found.get(column, _WHOLE_DAY) for column in COLUMNS])
    return scaler_from_ranges(ends[:, 0], ends[:, 1])


def _bad(path: Path, fault: str) -> BadInput:
    return BadInput("bad_scaler_table", f"{path}: {fault}")
