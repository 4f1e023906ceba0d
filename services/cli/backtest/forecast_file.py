"""Forecasts of anyone's, read from a file."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from shared.adapters.bounded_parquet import open_parquet, texts_of
from shared.adapters.bounded_text import read_lines
from shared.core.bounded_json import decode_json
from shared.core.errors import BadInput, BadSetting
from shared.core.symbols import MAX_SYMBOL_CHARACTERS

SUFFIXES: Final = (".csv", ".parquet", ".jsonl")
COLUMNS: Final = ("symbol", "open_time_ms", "change")
_SHOWN: Final = 5  # bad rows in a message
_MOST_BAD: Final = 10_000  # bad rows: then the rest of the file is not looked at
_LONGEST_LIST: Final = 500  # characters of the columns in a message
_BATCH_ROWS: Final = 8_192

Row: TypeAlias = tuple[int, Mapping[str, Any]]
"""The number of a line or row, counted from 1, and its values by column."""


@dataclass(frozen=True, slots=True)
class OutsideForecasts:
    """Changes by symbol and the open time of the candle that is forecast."""

    name: str
    changes: Mapping[str, Mapping[int, float]]

    @property
    def rows(self) -> int:
        """The number of forecasts."""
        return sum(map(len, self.changes.values()))


def check_forecasts(path: Path | None) -> None:
    """Check the name of the file of forecasts.

    Raises:
        BadSetting: it does not exist, or its format is unknown.
    """
    if path is not None and not (path.is_file() and path.suffix in SUFFIXES):
        raise BadSetting(
            f"--forecasts is {path}; it must be a file that exists, named {', '.join(SUFFIXES)}"
        )


def read_forecasts(path: Path | None, step_ms: int) -> OutsideForecasts | None:
    """Read a file with the columns `symbol`, `open_time_ms` and `change`.

    The open time is that of the candle that is forecast, the change a fraction of the close before
    it. CSV has a first line of names; JSON lines have an object each.

    Args:
        path: the file; None: there is none.
        step_ms: the interval.

    Raises:
        BadInput: the file or some rows are invalid; the message names line and value.
    """
    if path is None:
        return None
    changes: dict[str, dict[int, float]] = {}
    shown, bad = list[str](), 0
    for number, row in _read_rows(path):
        reason = _add(changes, row, step_ms)
        if reason:
            bad += 1
            if bad > _MOST_BAD:
                break
            shown += [f"{_UNIT[path.suffix]} {number}: {reason}"] if bad <= _SHOWN else []
    if bad:
        more = f"\nand {bad - _SHOWN} more" if bad > _SHOWN else ""
        more += ", perhaps others after them" if bad > _MOST_BAD else ""
        listed = "\n".join(shown)
        message = f"{path} has {bad} bad rows, correct or remove them:\n{listed}{more}"
        raise BadInput("bad_forecasts", message)
    return OutsideForecasts(path.name, changes)


_UNIT: Final = {".csv": "line", ".jsonl": "line", ".parquet": "row"}


def _add(changes: dict[str, dict[int, float]], row: Mapping[str, Any], step_ms: int) -> str:
    """Add a row's forecast; return why it is bad, empty if it is good."""
    missing = [name for name in COLUMNS if row.get(name) is None or row[name] == ""]
    if missing:
        return f"{', '.join(missing)} missing"
    symbol, time_text, change_text = (row[name] for name in COLUMNS)
    time_ms, change = _whole_number(time_text), _number(change_text)
    if not isinstance(symbol, str) or len(symbol) > MAX_SYMBOL_CHARACTERS:
        return f"symbol is {symbol!r:.80}, not a text of up to {MAX_SYMBOL_CHARACTERS} characters"
    if time_ms is None or time_ms < 0 or time_ms % step_ms:
        return f"open_time_ms is {time_text!r:.80}, not a multiple of the interval, {step_ms} ms"
    if change is None or not -1.0 < change < 1e6:
        return f"change is {change_text!r:.80}, not a fraction above -1, such as 0.001 for 0.1 %"
    if time_ms in changes.setdefault(symbol, {}):
        return f"a second forecast of {symbol} at {time_ms}"
    changes[symbol][time_ms] = change
    return ""


def _whole_number(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number == int(number) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _read_rows(path: Path) -> Iterator[Row]:
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}
    try:
        yield from readers[path.suffix](path)
    except (OSError, ValueError, OverflowError, csv.Error, pa.ArrowException) as error:
        raise BadInput("unreadable_file", f"{path} cannot be read: {error}") from error


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        reader = csv.DictReader(read_lines(path, file))
        _check_columns(path, reader.fieldnames or ())
        for row in reader:
            yield reader.line_num, row


def _json_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(read_lines(path, file), 1):
            yield number, _json_object(line)


def _json_object(line: str) -> Mapping[str, Any]:
    try:
        value = decode_json(line)
    except BadInput:
        return {}
    return value if isinstance(value, dict) else {}


def _parquet_rows(path: Path) -> Iterator[Row]:
    with open_parquet(path, COLUMNS) as file:
        _check_columns(path, file.schema_arrow.names)
        yield from enumerate(_parquet_values(path, file), 1)


def _parquet_values(path: Path, file: pq.ParquetFile) -> Iterator[Mapping[str, Any]]:
    for batch in file.iter_batches(_BATCH_ROWS, columns=list(COLUMNS)):
        texts_of(path, batch["symbol"])
        yield from batch.to_pylist()


def _check_columns(path: Path, names: Iterable[str]) -> None:
    found = list(names)
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        listed = ", ".join(found)[:_LONGEST_LIST]
        message = f"{path} has the columns {listed}; {', '.join(missing)} missing"
        raise BadInput("bad_columns", message)
