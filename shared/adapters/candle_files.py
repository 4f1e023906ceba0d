"""Find and read recorded candles: the exchange's CSV dumps, bare or compressed, and Parquet."""

import gzip
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from shared.adapters.bounded_text import MAX_TEXT, read_lines
from shared.adapters.candle_file_names import looks_like_recording, parse_file_name
from shared.adapters.csv_dump import read_csv
from shared.adapters.file_content import BinaryFile, check_content, open_text, select_member
from shared.adapters.parquet_candles import ArrowException, read_parquet
from shared.adapters.recording import Block, OffGridRows, Recording, SkippedFile
from shared.adapters.zip_member import ZIP_ERRORS, open_member
from shared.core.errors import BadInput

SUFFIXES: Final = (".csv.gz", ".csv", ".zip", ".parquet")
_CHECKSUM: Final = ".checksum"  # the exchange offers one beside each dump
_MACOS: Final = "__MACOSX"  # the folder of its own data that macOS adds to a ZIP
# ValueError: damaged names in a Parquet file, too; what gzip raises is among a ZIP's.
_READ_ERRORS: Final = (*ZIP_ERRORS, ArrowException)


def find_recordings(
    paths: Iterable[Path],
    on_skip: Callable[[SkippedFile], None] | None = None,
    *,
    skip_given: bool = False,
) -> list[Recording]:
    """Return the recordings in files and folders, by symbol and then by file name.

    Of a folder, those below it are searched too. Hidden files, checksums and files that do not
    look like recordings are passed over.

    Args:
        paths: files and folders.
        on_skip: takes each file of a folder that is left out; None: that is an error.
        skip_given: files given by name may be left out too.

    Raises:
        BadInput: a path is missing, is no recording, or its name does not say what is inside.
    """
    found = dict[Path, Recording]()
    for path in paths:
        for file in _files(path):
            try:
                found[file.resolve()] = _recording(file)
            except BadInput as error:
                if on_skip is None or (file == path and not skip_given):
                    raise
                on_skip(SkippedFile(file, error.reason, str(error)))
    return sorted(found.values(), key=lambda each: (each.symbol or "", each.path.name, each.path))


def read_blocks(
    recording: Recording, on_off_grid: Callable[[OffGridRows], None] = lambda _: None
) -> Iterator[Block]:
    """Yield a recording's candles in blocks of one symbol; a symbol's blocks ascend in time.

    Args:
        recording: the file.
        on_off_grid: takes rows that open off the interval's grid, which are set aside: after some
            outages the exchange has hours of them.

    Raises:
        BadInput: a line or row is invalid; the message names file, line, value and limit.
    """
    path = recording.path
    try:
        check_content(path, _suffix(path))
        if _suffix(path) == ".parquet":
            yield from read_parquet(recording, on_off_grid)
        else:
            with _open_bytes(path) as data, open_text(path, data) as text:
                yield from read_csv(recording, read_lines(path, text), on_off_grid)
    except _READ_ERRORS as error:
        message = f"{path} cannot be read ({error}): fetch it again"
        raise BadInput("unreadable_file", message) from error


@contextmanager
def _open_bytes(path: Path) -> Iterator[BinaryFile]:
    """Open what a file holds, uncompressed."""
    if _suffix(path) == ".csv.gz":
        with gzip.open(path) as unpacked:
            yield unpacked
    elif _suffix(path) == ".csv":
        with path.open("rb") as data:
            yield data
    else:
        with open_member(path, partial(select_member, path=path), MAX_TEXT) as member:
            yield member


def _files(path: Path) -> list[Path]:
    """Return the files that a path stands for."""
    if path.is_dir():
        return [file for file in sorted(path.rglob("*")) if _is_candidate(file, path)]
    if not path.is_file():
        raise BadInput("no_file", f"{path} does not exist: give a folder or a file that does")
    return [path]


def _is_candidate(file: Path, folder: Path) -> bool:
    """Say whether a file of a folder looks like a recording."""
    parts = file.relative_to(folder).parts
    if file.is_dir() or any(part.startswith(".") or part == _MACOS for part in parts):
        return False
    name = file.name.lower()
    if name.endswith(_CHECKSUM):
        return False
    return looks_like_recording(name) or any(f"{suffix}." in f"{name}." for suffix in SUFFIXES)


def _suffix(path: Path) -> str:
    """Return what tells the format, in lower case."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), path.suffix)


def _recording(path: Path) -> Recording:
    suffix = _suffix(path)
    if suffix not in SUFFIXES:
        allowed = ", ".join(SUFFIXES)
        message = f"{path} ends with none of {allowed}: finish the download, convert it or leave it"
        raise BadInput("unknown_format", f"{message} out")
    stem = path.name[: -len(suffix)]
    return parse_file_name(path, stem, needs_symbol=suffix != ".parquet")
