"""Read text files of unknown origin: no line without an end, no JSON larger than it may be."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from shared.core.bounded_json import check_values
from shared.core.errors import BadInput

MAX_LINE: Final = 10_000  # characters; a candle has about 150
MAX_TEXT: Final = 2**31  # characters; a month of seconds has about 400 MB
MAX_JSON_FILE: Final = 4 * 1024 * 1024  # bytes
MAX_JSON_VALUES: Final = 100_000
_CHUNK: Final = 65_536


def read_lines(path: Path, text: TextIO) -> Iterator[str]:
    """Yield the lines of a text without their ends.

    A compressed file may hold gigabytes in one line, which a plain loop would read as a whole.

    Args:
        path: of the file, for messages.
        text: its content; a line ends with a line feed.

    Raises:
        BadInput: a line is longer than MAX_LINE, or the text than MAX_TEXT.
    """
    rest, count, size = "", 0, 0
    while chunk := text.read(_CHUNK):
        size += len(chunk)
        if size > MAX_TEXT:
            message = f"{path} has more than {MAX_TEXT} characters: split it"
            raise BadInput("too_large", message)
        *lines, rest = f"{rest}{chunk}".split("\n")
        count += len(lines)
        _check_line(path, count + 1, rest)
        for number, line in enumerate(lines, count + 1 - len(lines)):
            _check_line(path, number, line)
            yield line
    if rest:
        yield rest


def read_json_file(path: Path) -> bytes:
    """Return the bytes of a small JSON file.

    Raises:
        BadInput: it is larger than MAX_JSON_FILE, or has too many values.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_JSON_FILE + 1)
    if len(data) > MAX_JSON_FILE:
        raise BadInput("too_large", f"{path} has more than {MAX_JSON_FILE} bytes")
    check_values(data, MAX_JSON_VALUES)
    return data


def _check_line(path: Path, number: int, line: str) -> None:
    if len(line) > MAX_LINE:
        message = f"{path} line {number} has more than {MAX_LINE} characters: fetch it again"
        raise BadInput("long_line", message)
