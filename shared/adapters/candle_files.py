"""Find and read recorded candles: the exchange's CSV dumps (bare or zipped) and Parquet files."""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final
from unicodedata import normalize

from shared.adapters.csv_dump import read_csv
from shared.adapters.parquet_candles import ArrowException, read_parquet
from shared.adapters.recording import Block, Recording
from shared.core.errors import BadInput, BadSetting
from shared.core.symbols import is_symbol
from shared.core.topics import interval_ms

_MACOS: Final = "__MACOSX/"  # of its own data on each file, which macOS adds to a ZIP
_ENCODING: Final = "utf-8-sig"  # a byte-order mark is passed over
SUFFIXES: Final = (".csv", ".zip", ".parquet")

_NAME: Final = re.compile(
    r"(?:(?P<symbol>.*)-)?(?P<interval>[0-9]+[a-zA-Z]+)(?:-\d{4}-\d\d(?:-\d\d)?)?"
)


def find_recordings(
    paths: Iterable[Path], on_skip: Callable[[str], None] | None = None
) -> list[Recording]:
    """Return the recordings in files and folders, by symbol and then by file name.

    Args:
        paths: files, and folders that are searched with those below them.
        on_skip: takes the reason why a file of a folder is left out; None: that is an error.

    Raises:
        BadInput: a path is missing, is no recording, or its name has no interval.
    """
    found = {}
    for path in paths:
        for file in _files(path):
            try:
                found[file] = _recording(file)
            except BadInput as error:
                if on_skip is None or file == path:
                    raise
                on_skip(str(error))
    return sorted(
        found.values(), key=lambda recording: (recording.symbol or "", recording.path.name)
    )


def read_blocks(recording: Recording) -> Iterator[Block]:
    """Yield a recording's candles in blocks of one symbol; a symbol's blocks ascend in time.

    Raises:
        BadInput: a line or row is invalid; the message names file, line, value and limit.
    """
    path = recording.path
    try:
        if path.suffix == ".parquet":
            yield from read_parquet(recording)
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as zipped, zipped.open(_only_member(zipped)) as member:
                yield from read_csv(recording, io.TextIOWrapper(member, _ENCODING, "replace"))
        else:
            with path.open(encoding=_ENCODING, errors="replace") as text:
                yield from read_csv(recording, text)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ArrowException) as error:
        message = f"{path} cannot be read ({error}): fetch it again"
        raise BadInput("unreadable_file", message) from error


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return [file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file()]
    if not path.is_file():
        raise BadInput("no_file", f"{path} does not exist: give a folder or a file that does")
    if path.suffix not in SUFFIXES:
        allowed = ", ".join(SUFFIXES)
        raise BadInput("unknown_format", f"{path} is none of {allowed}: convert it or leave it out")
    return [path]


def _recording(path: Path) -> Recording:
    name = _NAME.fullmatch(path.stem)
    advice = "rename it to SYMBOL-INTERVAL, such as BTCUSDT-5m-2025-01.csv"
    if name is None:
        raise BadInput("bad_file_name", f"{path}: the name has no interval; {advice}")
    symbol = _symbol_in_name(name["symbol"])
    if symbol is None and path.suffix != ".parquet":
        raise BadInput("bad_file_name", f"{path}: the name has no symbol; {advice}")
    try:
        return Recording(path, symbol, interval_ms(name["interval"]))
    except BadSetting as error:
        raise BadInput("unknown_interval", f"{path}: {error}; {advice}") from None


def _symbol_in_name(text: str | None) -> str | None:
    # Some file systems store letters and their marks apart.
    symbol = normalize("NFC", text or "")
    return symbol if is_symbol(symbol) else None


def _only_member(archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if not name.startswith(_MACOS)]
    if len(names) != 1:
        message = f"{archive.filename} holds {len(names)} files; a dump is a ZIP of one CSV"
        raise BadInput("unknown_format", message)
    return names[0]
