"""Recorded candles: the exchange's CSV dumps (bare or zipped) and parquet files, checked while they are read."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shared.adapters.dump_validation import (
    MICROSECONDS_FROM,
    NUMBERS,
    RowPosition,
    check_close,
    check_numbers,
    check_times,
    check_unit,
)
from shared.core.errors import BadInput, BadSetting
from shared.core.topics import interval_ms

SUFFIXES: Final = (".csv", ".zip", ".parquet")
COLUMNS: Final = 12  # of a dump's line
BLOCK_ROWS: Final = 65_536

_NAME = re.compile(
    r"(?:(?P<symbol>[A-Z0-9]{2,30})-|(?:.*-)?)(?P<interval>[0-9]+[a-zA-Z]+)(?:-\d{4}-\d\d(?:-\d\d)?)?"
)
_FRACTION = r"\d{1,20}(?:\.\d{1,20})?"
_DECIMAL = re.compile(_FRACTION)
_LINE = re.compile(
    rf"\d{{1,17}}(?:,-?{_FRACTION}){{5}},\d{{1,17}},{_FRACTION},\d{{1,17}}(?:,{_FRACTION}){{3}}",
    re.ASCII,
)


class CandleRow(NamedTuple):
    """One recorded candle. Decimals are the exchange's strings, or the shortest that gives the recorded float64."""

    symbol: str
    open_time_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str | None
    trades: int | None
    taker_buy_volume: str | None
    taker_buy_quote_volume: str | None


@dataclass(frozen=True, slots=True)
class Recording:
    """One file. `symbol` is None where only the file's own column `symbol` can say it."""

    path: Path
    symbol: str | None
    interval_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Checked candles of one symbol, ascending in time."""

    symbol: str
    open_time_ms: NDArray[np.int64]  # (n,)
    numbers: NDArray[np.float64]  # (n, 5): open, high, low, close, volume
    lines: list[str] | None = field(
        repr=False
    )  # n lines of a dump; None where floats are all there is

    def rows(self, first: int = 0, until: int | None = None) -> Iterator[CandleRow]:
        """Yield candles `first` up to, not including, `until` (None: all) as exact decimals."""
        times = self.open_time_ms[first:until].tolist()
        if self.lines is None:
            columns = [
                [_decimal(number) for number in column]
                for column in self.numbers[first:until].T.tolist()
            ]
            for time_ms, opened, high, low, close, volume in zip(times, *columns, strict=True):
                yield CandleRow(
                    self.symbol, time_ms, opened, high, low, close, volume, None, None, None, None
                )
        else:
            for time_ms, line in zip(times, self.lines[first:until], strict=True):
                _, opened, high, low, close, volume, _, quote, trades, taker, taker_quote, _ = (
                    line.split(",")
                )
                yield CandleRow(
                    self.symbol,
                    time_ms,
                    opened,
                    high,
                    low,
                    close,
                    volume,
                    quote,
                    int(trades),
                    taker,
                    taker_quote,
                )


def find(paths: Iterable[Path]) -> list[Recording]:
    """Return the recordings that the paths name, files or folders, by symbol and then by file name.

    Raises:
        BadInput: a path is missing, is no recording, or its name does not tell the interval.
    """
    files = {file for path in paths for file in _files(path)}
    return sorted(
        (_recording(file) for file in files),
        key=lambda found: (found.symbol or "", found.path.name),
    )


def read(recording: Recording) -> Iterator[CandleRow]:
    """Yield a recording's candles, ascending in time for each symbol.

    Raises:
        BadInput: a line or row is not what it should be; the message names file, line, value and limit.
    """
    for block in read_blocks(recording):
        yield from block.rows()


def read_blocks(recording: Recording) -> Iterator[Block]:
    """Yield a recording's candles in blocks, each of one symbol; a symbol's blocks ascend in time.

    Raises:
        BadInput: as `read`.
    """
    with _named_faults(recording.path):
        if recording.path.suffix == ".parquet":
            yield from _parquet_blocks(recording)
        elif recording.path.suffix == ".zip":
            with (
                zipfile.ZipFile(recording.path) as archive,
                archive.open(_only_member(archive)) as member,
            ):
                yield from _csv_blocks(recording, io.TextIOWrapper(member, "ascii", "replace"))
        else:
            with recording.path.open(encoding="ascii", errors="replace") as text:
                yield from _csv_blocks(recording, text)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return [file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file()]
    if not path.is_file():
        raise BadInput("no_file", f"{path} does not exist: give a folder or a file that does")
    if path.suffix not in SUFFIXES:
        raise BadInput(
            "unknown_format", f"{path} is none of {', '.join(SUFFIXES)}: convert it or leave it out"
        )
    return [path]


def _recording(path: Path) -> Recording:
    name = _NAME.fullmatch(path.stem)
    advice = "rename it to SYMBOL-INTERVAL, such as BTCUSDT-5m-2025-01.csv"
    if name is None:
        raise BadInput("bad_file_name", f"{path}: the name tells no interval; {advice}")
    if name["symbol"] is None and path.suffix != ".parquet":
        raise BadInput("bad_file_name", f"{path}: the name tells no symbol; {advice}")
    try:
        return Recording(path, name["symbol"], interval_ms(name["interval"]))
    except BadSetting as error:
        raise BadInput("unknown_interval", f"{path}: {error}; {advice}") from None


@contextmanager
def _named_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, pa.ArrowException) as error:
        raise BadInput(
            "unreadable_file", f"{path} cannot be read ({error}): fetch it again"
        ) from error


def _only_member(archive: zipfile.ZipFile) -> str:
    names = archive.namelist()
    if len(names) != 1:
        raise BadInput(
            "unknown_format",
            f"{archive.filename} holds {len(names)} files; a dump is a ZIP of one CSV",
        )
    return names[0]


def _csv_blocks(recording: Recording, text: Iterable[str]) -> Iterator[Block]:
    symbol = recording.symbol
    if symbol is None:
        raise BadInput(
            "bad_file_name", f"{recording.path}: a CSV dump needs its symbol in the file name"
        )
    lines, line_number, scale, last_ms = iter(text), 1, 0, -1
    while block := [line.rstrip("\r\n") for line in islice(lines, BLOCK_ROWS)]:
        if line_number == 1 and _is_header(block[0]):
            block, line_number = block[1:], 2
        if not block:
            continue
        _refuse_malformed(recording.path, line_number, block)
        scale = scale or (1000 if int(block[0].split(",", 1)[0]) >= MICROSECONDS_FROM else 1)
        place = RowPosition(
            recording.path,
            recording.interval_ms,
            symbol,
            "line",
            np.arange(line_number, line_number + len(block)),
        )
        fields = np.array([line.split(",", 7)[:7] for line in block])  # (n, 7) strings
        times, numbers = fields[:, [0, 6]].astype(np.int64), fields[:, 1:6].astype(np.float64)
        check_unit(place, times[:, 0], scale)
        open_ms = times[:, 0] // scale
        check_times(place, times[:, 0], scale, last_ms)
        check_close(place, open_ms, times[:, 1] // scale)
        check_numbers(place, numbers)
        yield Block(symbol, open_ms, numbers, block)
        line_number, last_ms = line_number + len(block), int(open_ms[-1])


def _is_header(line: str) -> bool:
    names = line.lower().replace(" ", "_").split(",")
    return len(names) == COLUMNS and names[:6] == ["open_time", *NUMBERS]


def _refuse_malformed(path: Path, first_line: int, lines: list[str]) -> None:
    for index, line in enumerate(lines):
        if not _LINE.fullmatch(line):
            _explain_malformed(f"{path} line {first_line + index}", line.split(","))


def _explain_malformed(where: str, fields: list[str]) -> None:
    if len(fields) != COLUMNS:
        raise BadInput(
            "truncated_line",
            f"{where} has {len(fields)} columns; a dump has {COLUMNS}: fetch the file again",
        )
    for column, value in enumerate(fields, start=1):
        whole = column in {1, 7, 9}
        if not (
            re.fullmatch(r"\d{1,17}", value)
            if whole
            else _DECIMAL.fullmatch(value.removeprefix("-"))
        ):
            wanted = "a whole number" if whole else "a plain decimal number"
            raise BadInput(
                "not_a_number",
                f"{where} column {column} is {value[:40]!r}, not {wanted}: correct the line",
            )
        if value.startswith("-") and column > 6:
            raise BadInput(
                "negative_volume",
                f"{where} column {column} is {value}; the least is 0: correct the line",
            )


def _parquet_blocks(recording: Recording) -> Iterator[Block]:
    last_ms: dict[str, int] = {}
    first_row = 0
    with pq.ParquetFile(recording.path) as file:
        columns = _columns(recording, file.schema_arrow)
        for batch in file.iter_batches(BLOCK_ROWS, columns=columns):
            for symbol, picked in _by_symbol(recording, batch, first_row):
                place = RowPosition(
                    recording.path, recording.interval_ms, symbol, "row", picked + first_row
                )
                block = _parquet_block(place, batch, picked, last_ms.get(symbol, -1))
                last_ms[symbol] = int(block.open_time_ms[-1])
                yield block
            first_row += len(batch)


def _columns(recording: Recording, schema: pa.Schema) -> list[str]:
    wanted = {"open_time": pa.int64(), **dict.fromkeys(NUMBERS, pa.float64())}
    for name, kind in wanted.items():
        found = schema.field(name).type if name in schema.names else "missing"
        if found != kind:
            raise BadInput(
                "bad_columns",
                f"{recording.path}: column {name} is {found}, not {kind}: convert the file",
            )
    if recording.symbol is None and "symbol" not in schema.names:
        raise BadInput(
            "bad_columns",
            f"{recording.path}: neither the name nor a column `symbol` tells the symbol",
        )
    return [*wanted, *(name for name in ("close_time", "symbol") if name in schema.names)]


def _by_symbol(
    recording: Recording, batch: pa.RecordBatch, first_row: int
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield each symbol with the indices of its rows, in file order: a wide file may be sorted by time or by symbol."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if column.null_count:
            rows = f"rows {first_row} to {first_row + len(batch) - 1}"
            raise BadInput(
                "missing_value",
                f"{recording.path} {rows}: column {name} has nulls: leave such rows out",
            )
    if "symbol" not in batch.schema.names:
        yield recording.symbol or "", np.arange(len(batch))
        return
    names, inverse = np.unique(
        batch["symbol"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True
    )
    for number, name in enumerate(names.tolist()):
        if recording.symbol not in {None, name} or not re.fullmatch(r"[A-Z0-9]{2,30}", name):
            wanted = recording.symbol or "2 to 30 capital letters and digits"
            raise BadInput(
                "bad_symbol", f"{recording.path}: column symbol has {name!r}, not {wanted}"
            )
        yield name, np.flatnonzero(inverse == number)


def _parquet_block(
    place: RowPosition, batch: pa.RecordBatch, picked: NDArray[np.int64], last_ms: int
) -> Block:
    open_ms = batch["open_time"].to_numpy()[picked]
    numbers = np.stack([batch[name].to_numpy()[picked] for name in NUMBERS], axis=1)  # (n, 5)
    check_unit(place, open_ms, 1)
    check_times(place, open_ms, 1, last_ms)
    if "close_time" in batch.schema.names:
        check_close(place, open_ms, batch["close_time"].to_numpy()[picked])
    check_numbers(place, numbers)
    return Block(place.symbol, open_ms, numbers, None)


def _decimal(number: float) -> str:
    text = repr(number)
    return format(Decimal(text), "f") if "e" in text else text
