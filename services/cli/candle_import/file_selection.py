"""Which files an import takes: each is read once before anything is written.

A file is taken as a whole or not at all: one that turns bad in its middle, contradicts another file
or contradicts the log is left out, and the others are imported.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.cli.candle_import.spooled_blocks import SpooledBlocks
from services.cli.candle_import.time_blocks import RecordingReader
from shared.adapters.candle_files import read_blocks
from shared.adapters.recording import Block, OffGridRows, Recording, SkippedFile
from shared.adapters.spool import Spool
from shared.core.errors import BadInput


@dataclass(frozen=True, slots=True)
class SymbolFile:
    """The candles of one symbol in a recording that was read once without a fault."""

    path: Path
    symbol: str
    first_ms: int
    last_ms: int
    blocks: Iterable[Block]  # ascending in time

    def reader(self) -> RecordingReader:
        """Return a reader of the candles, in the order of time."""
        return RecordingReader(self.symbol, self.first_ms, self.blocks)


@dataclass(frozen=True, slots=True)
class SetAsideRows:
    """Rows of a file that are not imported, although the file is."""

    path: Path
    reason: str
    message: str
    rows: int


@dataclass(slots=True)
class FileSelection:
    """The files of an import; those left out; the rows of the others that are set aside.

    Attributes:
        required: files that must not be left out: that would be an error.
    """

    required: Collection[Path] = ()
    files: list[SymbolFile] = field(default_factory=list)
    left_out: list[SkippedFile] = field(default_factory=list)
    set_aside: list[SetAsideRows] = field(default_factory=list)

    def inspect(self, recordings: Iterable[Recording], spool: Spool) -> Iterator[Recording]:
        """Read recordings through, each once and one at a time; yield each when it is done.

        Their candles go into the spool: of years of dumps, the symbols of a moment alone are more
        files than a process may have open, and more blocks of rows than it has memory for.

        Raises:
            BadInput: a required file has a fault.
            BadSetting: the spool's disk is full.
        """
        for recording in recordings:
            off_grid: list[OffGridRows] = []
            try:
                self.files += _inspect(recording, spool, off_grid)
            except BadInput as error:
                self.leave_out([recording.path], error)
            else:
                self._set_off_grid_aside(off_grid)
            yield recording

    def leave_out(self, paths: Collection[Path], error: BadInput) -> None:
        """Leave files out, with the same reason.

        Raises:
            BadInput: one of them is required.
        """
        if not set(paths).isdisjoint(self.required):
            raise error
        self.files = [file for file in self.files if file.path not in paths]
        self.set_aside = [rows for rows in self.set_aside if rows.path not in paths]
        known = {skipped.path for skipped in self.left_out}
        self.left_out += [
            SkippedFile(path, error.reason, str(error)) for path in paths if path not in known
        ]

    def set_rows_aside(self, path: Path, error: BadInput, rows: int) -> None:
        """Import a file without some of its rows."""
        self.set_aside.append(SetAsideRows(path, error.reason, str(error), rows))

    def readers(self) -> list[RecordingReader]:
        """Return a reader for each symbol of each file."""
        return [file.reader() for file in self.files]

    @property
    def symbols(self) -> set[str]:
        """The symbols of the files."""
        return {file.symbol for file in self.files}

    def _set_off_grid_aside(self, off_grid: Sequence[OffGridRows]) -> None:
        for first in off_grid[:1]:
            count = sum(each.count for each in off_grid)
            message = (
                f"{first.path}: {count} rows open off the interval's grid, as after an outage of"
                f" the exchange; the first is {first.first} at {first.first_ms} ms"
            )
            self.set_rows_aside(first.path, BadInput("off_grid", message), count)


def _inspect(recording: Recording, spool: Spool, off_grid: list[OffGridRows]) -> list[SymbolFile]:
    """Return the symbols of a recording after reading all of it.

    Raises:
        BadInput: a row is invalid, or none is on the grid.
        BadSetting: the spool's disk is full.
    """
    found: dict[str, SpooledBlocks] = {}
    for block in read_blocks(recording, off_grid.append):
        found.setdefault(block.symbol, SpooledBlocks(spool)).append(block)
    if not found:
        raise _all_off_grid(recording, off_grid)
    for blocks in found.values():
        blocks.flush()
    return [
        SymbolFile(recording.path, symbol, blocks.first_ms, blocks.last_ms, blocks)
        for symbol, blocks in found.items()
    ]


def _all_off_grid(recording: Recording, off_grid: Sequence[OffGridRows]) -> BadInput:
    first = off_grid[0]
    message = (
        f"{recording.path}: all rows open off the grid of {recording.interval_ms} ms, such as"
        f" {first.first} at {first.first_ms} ms: leave the file out"
    )
    return BadInput("off_grid", message)
