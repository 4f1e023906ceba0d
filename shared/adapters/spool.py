"""A temporary file of compressed chunks, for data beyond an operation's memory."""

import os
from tempfile import TemporaryFile, gettempdir
from types import TracebackType
from typing import Final, NamedTuple, Self

from pyarrow import Codec

from shared.core.errors import BadSetting

# Zstandard's fastest level: twice as small as LZ4, and still faster than candles are read.
_CODEC: Final = Codec("zstd", 1)


class Chunk(NamedTuple):
    """Where bytes are in a spool."""

    offset: int
    stored: int  # bytes in the file
    size: int  # bytes that they are


class Spool:
    """Appends chunks to a file without a name, which ends with the process, and reads them."""

    def __init__(self) -> None:
        """Create the file in the folder that TMPDIR names, or in the system's.

        Raises:
            BadSetting: there is no such folder, or it cannot be written.
        """
        try:
            self._file = TemporaryFile(buffering=0)  # noqa: SIM115 - `__exit__` closes it
        except OSError as error:
            raise _no_room(error) from error
        self._end = 0

    def __enter__(self) -> Self:
        """Return the spool."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Delete the file."""
        self._file.close()

    def append(self, data: bytes) -> Chunk:
        """Write bytes at the end.

        Raises:
            BadSetting: the disk is full.
        """
        stored = memoryview(_CODEC.compress(data, asbytes=True))
        chunk = Chunk(self._end, len(stored), len(data))
        try:
            while stored:
                stored = stored[self._file.write(stored) :]
        except OSError as error:
            raise _no_room(error) from error
        self._end += chunk.stored
        return chunk

    def read(self, chunk: Chunk) -> bytes:
        """Return the bytes of a chunk."""
        stored = os.pread(self._file.fileno(), chunk.stored, chunk.offset)
        data: bytes = _CODEC.decompress(stored, chunk.size, asbytes=True)
        return data


def _no_room(error: OSError) -> BadSetting:
    return BadSetting(
        f"TMPDIR: {gettempdir()} cannot keep what does not fit into memory ({error.strerror});"
        " name a folder on a larger disk"
    )
