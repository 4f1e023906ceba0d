"""Open a member of a ZIP of unknown origin: plain or deflated, without a password."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from shared.core.errors import BadInput

MAX_READ: Final = 4 * 1024 * 1024  # bytes at once; the list of members is read at once
ZIP_ERRORS: Final = (
    *(zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError),
    *(EOFError, OSError, ValueError, RuntimeError, OverflowError),
)
"""What the standard library raises for damaged ZIPs."""
_ENCRYPTED: Final = 0x1  # in a member's flags
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


@contextmanager
def open_member(
    path: Path, select: Callable[[zipfile.ZipFile], zipfile.ZipInfo], max_bytes: int
) -> Iterator[zipfile.ZipExtFile]:
    """Open the member of a ZIP that `select` returns.

    Args:
        path: the ZIP.
        select: returns the member to open.
        max_bytes: the largest size of the member, unpacked.

    Raises:
        BadInput: the member cannot be read, or is too large.
        zipfile.BadZipFile: the ZIP is damaged, or lists too many members.
    """
    with _BoundedFile(io.FileIO(path)) as file, zipfile.ZipFile(file) as zipped:
        member = select(zipped)
        _check(path, member, max_bytes)
        with zipped.open(member) as data:
            yield cast("zipfile.ZipExtFile", data)


def _check(path: Path, member: zipfile.ZipInfo, max_bytes: int) -> None:
    name = f"{path}: {member.filename}"
    if member.flag_bits & _ENCRYPTED:
        raise BadInput("encrypted", f"{name} is encrypted: unpack it with its password")
    if member.compress_type not in _METHODS:
        message = f"{name} is compressed by method {member.compress_type}, not deflated: unpack it"
        raise BadInput("unknown_compression", message)
    if member.file_size > max_bytes:
        message = f"{name} unpacks to {member.file_size} bytes, at most {max_bytes}"
        raise BadInput("too_large", message)


class _BoundedFile(io.BufferedReader):
    """A file that refuses large reads: a list of millions of members would be one."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = MAX_READ + 1 if size is None or size < 0 else size
        found = super().read(min(wanted, MAX_READ + 1))
        if len(found) > MAX_READ:
            raise zipfile.BadZipFile(f"its list of members has more than {MAX_READ} bytes")
        return found
