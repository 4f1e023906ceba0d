"""Recorded candles as files, for tests of their readers and of the import."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

from tests.support.builders import START_MS, STEP_MS

HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)


def dump_line(at: int, close: str = "100.5", scale: int = 1, offset_ms: int = 0) -> str:
    """Return a line of a dump: the candle `at` intervals after the start, or a little later."""
    opens = (START_MS + at * STEP_MS + offset_ms) * scale
    closes = opens + STEP_MS * scale - 1
    return f"{opens},100.0,101.00,99.5,{close},12.5,{closes},1250.0,42,6.25,625.0,0"


def dump(lines: Iterable[str | int], end: str = "\n") -> bytes:
    """Return the bytes of a dump; a number stands for the candle that comes then."""
    texts = (dump_line(line) if isinstance(line, int) else line for line in lines)
    return "".join(f"{text}{end}" for text in texts).encode()


def write_file(folder: Path, name: str, data: bytes) -> Path:
    """Write a file, and the folders that it is in."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_zip(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    """Write a ZIP."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for member, data in members.items():
            target.writestr(member, data)
    return path
