"""Parquet files of klines, of one symbol or of many."""

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import ArrowException

from shared.adapters.dump_validation import NUMBERS, RowPosition, check_rows
from shared.adapters.recording import Block, Recording
from shared.core.errors import BadInput

__all__ = ["ArrowException", "read_parquet"]

BLOCK_ROWS: Final = 65_536


def read_parquet(recording: Recording) -> Iterator[Block]:
    """Yield a file's candles in blocks of one symbol; a symbol's blocks ascend in time.

    Raises:
        BadInput: a column or a row is invalid.
        ArrowException: the file is damaged.
    """
    last_ms: dict[str, int] = {}
    first_row = 0
    with pq.ParquetFile(recording.path) as file:
        columns = _check_columns(recording, file.schema_arrow)
        for batch in file.iter_batches(BLOCK_ROWS, columns=columns):
            for symbol, rows in _rows_by_symbol(recording, batch, first_row):
                position = RowPosition(
                    recording.path, recording.interval_ms, symbol, "row", rows + first_row
                )
                block = _to_block(position, batch, rows, last_ms.get(symbol, -1))
                last_ms[symbol] = int(block.open_time_ms[-1])
                yield block
            first_row += len(batch)


def _check_columns(recording: Recording, schema: pa.Schema) -> list[str]:
    """Return the names of the columns to read."""
    required = {"open_time": pa.int64(), **dict.fromkeys(NUMBERS, pa.float64())}
    for name, kind in required.items():
        found = schema.field(name).type if name in schema.names else "missing"
        if found != kind:
            message = f"{recording.path}: column {name} is {found}, not {kind}: convert the file"
            raise BadInput("bad_columns", message)
    if recording.symbol is None and "symbol" not in schema.names:
        message = f"{recording.path}: neither the name nor a column `symbol` has the symbol"
        raise BadInput("bad_columns", message)
    return [*required, *(name for name in ("close_time", "symbol") if name in schema.names)]


def _rows_by_symbol(
    recording: Recording, batch: pa.RecordBatch, first_row: int
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield each symbol with its rows' indices in file order.

    A file of many symbols may be sorted by time or by symbol.
    """
    _check_nulls(recording, batch, first_row)
    if "symbol" not in batch.schema.names:
        yield recording.symbol or "", np.arange(len(batch))
        return
    column = batch["symbol"].to_numpy(zero_copy_only=False).astype(str)
    names, inverse = np.unique(column, return_inverse=True)
    for number, name in enumerate(names.tolist()):
        if recording.symbol not in {None, name} or not re.fullmatch(r"[A-Z0-9]{2,30}", name):
            allowed = recording.symbol or "2 to 30 capital letters and digits"
            message = f"{recording.path}: column symbol has {name!r}, not {allowed}"
            raise BadInput("bad_symbol", message)
        yield name, np.flatnonzero(inverse == number)


def _check_nulls(recording: Recording, batch: pa.RecordBatch, first_row: int) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if column.null_count:
            rows = f"rows {first_row} to {first_row + len(batch) - 1}"
            message = f"{recording.path} {rows}: column {name} has nulls: leave such rows out"
            raise BadInput("missing_value", message)


def _to_block(
    position: RowPosition, batch: pa.RecordBatch, rows: NDArray[np.int64], last_ms: int
) -> Block:
    open_ms = batch["open_time"].to_numpy()[rows]
    numbers = np.stack([batch[name].to_numpy()[rows] for name in NUMBERS], axis=1)  # (n, 5)
    has_close_times = "close_time" in batch.schema.names
    close_ms = batch["close_time"].to_numpy()[rows] if has_close_times else None
    check_rows(position, open_ms, close_ms, numbers, last_ms)
    return Block(position.symbol, open_ms, numbers, None)
