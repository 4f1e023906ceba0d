"""Write rows to a Parquet or CSV file, block by block."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from shared.adapters.atomic_write import replace_atomically
from shared.core.errors import BadSetting

SUFFIXES: Final = (".parquet", ".csv")
BLOCK_ROWS: Final = 32_768  # of a row group; what is in memory at a time
UTC_TIME: Final = pa.timestamp("ms", tz="UTC")


class TableRow(NamedTuple):
    """A row: whose candle or prediction it is, and a value for each column."""

    symbol: str
    open_time_ms: int
    values: Sequence[Any]


class _BatchWriter(Protocol):
    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Append a batch."""


class TableWriter:
    """Appends rows, and writes them in blocks."""

    def __init__(self, writer: _BatchWriter, schema: pa.Schema) -> None:
        """Take the open file and the columns of the rows."""
        self._writer, self._schema = writer, schema
        self._rows: list[Sequence[Any]] = []

    def append(self, values: Sequence[Any]) -> None:
        """Append a row: a value for each column."""
        self._rows.append(values)
        if len(self._rows) == BLOCK_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are in memory."""
        if self._rows:
            columns = [
                pa.array(values, field.type)
                for values, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
            ]
            self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
            self._rows.clear()


def check_out(out: Path) -> None:
    """Check the name of the file to write, before any work is done.

    Raises:
        BadSetting: its format is unknown, it is a folder, or its folder does not exist.
    """
    if out.suffix not in SUFFIXES:
        raise BadSetting(f"--out is {out}; its name must end with {' or '.join(SUFFIXES)}")
    if out.is_dir():
        raise BadSetting(f"--out is {out}, which is a folder; name a file in it")
    if not out.parent.is_dir():
        raise BadSetting(f"--out is {out}; the folder {out.parent} does not exist: make it first")


@contextmanager
def open_table(out: Path, schema: pa.Schema) -> Iterator[TableWriter]:
    """Yield the writer of a new file; it is there once the block has ended, whole or not at all.

    Raises:
        BadSetting: it cannot be written.
    """
    try:
        with replace_atomically(out) as part, _open_writer(part, out.suffix, schema) as writer:
            table = TableWriter(writer, schema)
            yield table
            table.flush()
    except OSError as error:
        raise BadSetting(
            f"--out is {out}; it cannot be written ({error.strerror or error}): free space there,"
            " or choose another place"
        ) from error


def _open_writer(path: Path, suffix: str, schema: pa.Schema) -> Any:
    if suffix == ".csv":
        return pc.CSVWriter(path, schema)
    return pq.ParquetWriter(path, schema, compression="zstd")
