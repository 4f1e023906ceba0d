"""Look at a file's first bytes, a ZIP's members and a text's encoding before it is parsed."""

import gzip
import io
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

from shared.core.errors import BadInput

BinaryFile: TypeAlias = io.BufferedReader | gzip.GzipFile | zipfile.ZipExtFile

_MACOS: Final = "__MACOSX"
_ENCODING: Final = "utf-8-sig"  # a byte-order mark is passed over
_STARTS: Final = (
    (b"PK\x03\x04", ".zip", "a ZIP"),
    (b"PAR1", ".parquet", "a Parquet file"),
    (b"\x1f\x8b", ".csv.gz", "a gzip file"),
)
_SYMBOL_AND_INTERVAL: Final = re.compile(r"(.+)-([0-9]{1,2}[a-zA-Z]{1,2})(?:-[0-9-]+)?\.", re.ASCII)


def check_content(path: Path, suffix: str) -> None:
    """Refuse an empty file, and one that begins like another format.

    Raises:
        BadInput: the file is not what its name says.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise BadInput("empty_file", f"{path} is empty: fetch it again")
    for begin, right_suffix, kind in _STARTS:
        if start.startswith(begin) and suffix != right_suffix:
            message = f"{path} is {kind}: rename it to {right_suffix}"
            raise BadInput("wrong_format", message)
    if start.lstrip(b"\xef\xbb\xbf \r\n").startswith((b"<", b"{")):
        message = f"{path} begins with {start!r}, as an error page does: fetch it again"
        raise BadInput("wrong_format", message)


def select_member(zipped: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """Return the only CSV of a ZIP, whatever it is called.

    Raises:
        BadInput: there is none, or more than one, or it has another symbol or interval.
    """
    found = [info for info in zipped.infolist() if _is_csv(PurePosixPath(info.filename))]
    if len(found) != 1:
        names = ", ".join(repr(name) for name in zipped.namelist()[:3]) or "nothing"
        message = f"{path} holds {len(found)} CSV files ({names}); a dump is a ZIP of one"
        raise BadInput("unknown_format", f"{message}: unpack it")
    (member,) = found
    _check_member_name(path, PurePosixPath(member.filename).name)
    return member


def open_text(path: Path, data: BinaryFile) -> io.TextIOWrapper:
    """Return the text of a file, whose lines may end in any of the three ways.

    Raises:
        BadInput: it is UTF-16.
    """
    if data.peek(2)[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise BadInput("wrong_encoding", f"{path} is UTF-16: save it as UTF-8")
    return io.TextIOWrapper(data, _ENCODING, "replace")


def _is_csv(name: PurePosixPath) -> bool:
    is_hidden = any(part.startswith(".") or part == _MACOS for part in name.parts)
    return not is_hidden and name.suffix.lower() == ".csv"


def _check_member_name(path: Path, member: str) -> None:
    """Refuse a member that names another symbol or interval than the ZIP."""
    if not (path.name.isascii() and member.isascii()):
        return  # many programs write other letters in an encoding of their own
    outer, inner = (_SYMBOL_AND_INTERVAL.match(name) for name in (path.name, member))
    if outer is not None and inner is not None and outer.groups() != inner.groups():
        message = f"{path} holds {member}, of another symbol or interval: fetch it again"
        raise BadInput("wrong_member", message)
