"""Parquet files of klines, of one symbol or of many."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import ArrowException

from shared.adapters.bounded_parquet import open_parquet, texts_of
from shared.adapters.dump_validation import NUMBERS, RowPosition, check_rows, find_scale
from shared.adapters.recording import (
    Block,
    OffGridRows,
    Recording,
    set_aside_off_grid,
    to_decimal,
)
from shared.core.errors import BadInput
from shared.core.symbols import SYMBOL_RULE, is_symbol

__all__ = ["ArrowException", "read_parquet"]

BLOCK_ROWS: Final = 8_192
# Columns that a file may have, by their names in a record of the log, and in a dump's header.
OPTIONAL: Final = {
    "quote_volume": ("quote_volume",),
    "trades": ("trades", "count"),
    "taker_buy_volume": ("taker_buy_volume",),
    "taker_buy_quote_volume": ("taker_buy_quote_volume",),
}
KNOWN_COLUMNS: Final = (
    *("open_time", "close_time", "symbol"),
    *NUMBERS,
    *(name for names in OPTIONAL.values() for name in names),
)
_MOST_TRADES: Final = 10**15  # exclusive: such a count is exact in a float64
_MOST_DIGITS: Final = 20  # before and after the point, in a record of the log
_LARGEST: Final = 1e20
_SMALL: Final = 1e-3  # smaller numbers may have more digits after the point


def read_parquet(
    recording: Recording, on_off_grid: Callable[[OffGridRows], None]
) -> Iterator[Block]:
    """Yield a file's candles in blocks of one symbol; a symbol's blocks ascend in time.

    Raises:
        BadInput: a column or a row is invalid, or there is no row.
        ArrowException: the file is damaged.
    """
    last_ms: dict[str, int] = {}
    first_row = scale = 0
    with open_parquet(recording.path, KNOWN_COLUMNS) as file:
        columns = _check_columns(recording, file.schema_arrow)
        for read in file.iter_batches(BLOCK_ROWS, columns=columns):
            if len(read) == 0:
                continue
            batch = _with_integer_times(read)
            for symbol, rows in _rows_by_symbol(recording, batch, first_row):
                position = RowPosition(
                    recording.path, recording.interval_ms, symbol, "row", rows + first_row
                )
                scale = scale or find_scale(batch["open_time"][0].as_py())
                block, on_grid = _to_block(position, batch, rows, last_ms.get(symbol, -1), scale)
                last_ms[symbol] = int(block.open_time_ms[-1])
                yield from set_aside_off_grid(block, on_grid, on_off_grid)
            first_row += len(batch)
    if first_row == 0:
        raise BadInput("empty_file", f"{recording.path} has no candle: fetch it again")


def _check_columns(recording: Recording, schema: pa.Schema) -> list[str]:
    """Return the names of the columns to read."""
    required = {"open_time": pa.int64(), **dict.fromkeys(NUMBERS, pa.float64())}
    for name, kind in required.items():
        found = schema.field(name).type if name in schema.names else None
        is_time = found is not None and name == "open_time" and pa.types.is_timestamp(found)
        if found != kind and not is_time:
            message = f"{recording.path}: column {name} is {found or 'missing'}, not {kind}"
            raise BadInput("bad_columns", f"{message}: convert the file")
    if recording.symbol is None and "symbol" not in schema.names:
        message = f"{recording.path}: neither the name nor a column `symbol` has the symbol"
        raise BadInput("bad_columns", message)
    optional = [name for name in _optional_names(schema.names) if name is not None]
    for name in optional:
        if schema.field(name).type not in {pa.int64(), pa.float64()}:
            kind = schema.field(name).type
            message = f"{recording.path}: column {name} is {kind}, not int64 or double"
            raise BadInput("bad_columns", f"{message}: convert the file or leave the column out")
    names = (name for name in ("close_time", "symbol") if name in schema.names)
    return [*required, *names, *optional]


def _with_integer_times(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with its open times as integers where it has timestamps: in milliseconds.

    Raises:
        ArrowException: a time is not of a whole millisecond.
    """
    times = batch["open_time"]
    if not pa.types.is_timestamp(times.type):
        return batch
    in_ms = times.cast(pa.timestamp("ms", tz=times.type.tz)).cast(pa.int64())
    return batch.set_column(batch.schema.names.index("open_time"), "open_time", in_ms)


def _optional_names(names: list[str]) -> list[str | None]:
    """Return the file's name of each optional column; None for one that it lacks."""
    return [next((one for one in known if one in names), None) for known in OPTIONAL.values()]


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
    names = texts_of(recording.path, batch["symbol"]).to_pylist()
    numbers: NDArray[np.int64] = batch["symbol"].indices.to_numpy()
    # By name, and only those of this batch: a dictionary may have names of others too, or twice.
    found = defaultdict[str, list[int]](list)
    for number in np.unique(numbers).tolist():
        found[names[number]].append(number)
    for name in sorted(found):
        if recording.symbol not in {None, name} or not is_symbol(name):
            allowed = recording.symbol or SYMBOL_RULE
            message = f"{recording.path}: column symbol has {name!r}, not {allowed}"
            raise BadInput("bad_symbol", message)
        yield name, np.flatnonzero(np.isin(numbers, found[name]))


def _check_nulls(recording: Recording, batch: pa.RecordBatch, first_row: int) -> None:
    optional = set(_optional_names(batch.schema.names))
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if column.null_count and name not in optional:
            rows = f"rows {first_row} to {first_row + len(batch) - 1}"
            message = f"{recording.path} {rows}: column {name} has nulls: leave such rows out"
            raise BadInput("missing_value", message)


def _to_block(
    position: RowPosition,
    batch: pa.RecordBatch,
    rows: NDArray[np.int64],
    last_ms: int,
    scale: int,
) -> tuple[Block, NDArray[np.bool_]]:
    """Return the rows as a block, and which of them open on the grid (n,)."""
    times = batch["open_time"].to_numpy()[rows]
    numbers = np.stack([batch[name].to_numpy()[rows] for name in NUMBERS], axis=1)  # (n, 5)
    has_close_times = "close_time" in batch.schema.names
    close_times = batch["close_time"].to_numpy()[rows] if has_close_times else None
    on_grid = check_rows(position, times, close_times, numbers, last_ms, scale)
    optional = _optional_numbers(position, batch, rows)
    _check_digits(position, numbers)
    return Block(position.symbol, times // scale, numbers, None, optional, position), on_grid


def _check_digits(position: RowPosition, numbers: NDArray[np.float64]) -> None:
    """Check that numbers are short as plain decimals, as readers of the log want them."""
    is_long = numbers >= _LARGEST
    for row, column in zip(*np.nonzero((numbers > 0) & (numbers < _SMALL)), strict=True):
        fraction = to_decimal(float(numbers[row, column])).partition(".")[2]
        is_long[row, column] = len(fraction) > _MOST_DIGITS

    def describe(at: int) -> str:
        found = numbers[at][is_long[at]].tolist()
        return f"{found} has more than {_MOST_DIGITS} digits on a side of the point: round it"

    position.check(np.asarray(is_long.any(axis=1)), "too_many_digits", describe)


def _optional_numbers(
    position: RowPosition, batch: pa.RecordBatch, rows: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return the optional columns (n, 4), NaN where unknown; None if the file has none of them."""
    names = _optional_names(batch.schema.names)
    if not any(names):
        return None
    numbers = np.full((len(rows), len(names)), np.nan)
    for number, name in enumerate(names):
        if name is not None:
            column = batch[name].cast(pa.float64(), safe=False)
            numbers[:, number] = column.to_numpy(zero_copy_only=False)[rows]  # a null is a NaN
    _check_optional(position, numbers)
    _check_digits(position, numbers)
    return numbers


def _check_optional(position: RowPosition, numbers: NDArray[np.float64]) -> None:
    def describe(at: int) -> str:
        pairs = zip(OPTIONAL, numbers[at].tolist(), strict=True)
        values = ", ".join(f"{name} {value}" for name, value in pairs)
        return f"{values}: each must be finite and at least 0, trades a whole number"

    trades = numbers[:, list(OPTIONAL).index("trades")]
    is_wrong = ((numbers < 0) | np.isinf(numbers)).any(axis=1)
    is_no_count = (trades != np.floor(trades)) | (trades >= _MOST_TRADES)
    position.check(
        np.asarray(is_wrong | (is_no_count & ~np.isnan(trades))), "bad_optional_value", describe
    )
