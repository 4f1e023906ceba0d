"""Atomic, durable file writes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file; readers see the old or the new content, never a part.

    Once this returns, the new content survives a loss of power.

    Raises:
        OSError: it cannot be written.
    """
    with replace_atomically(path) as part:
        part.write_bytes(data)


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield the path of a file to write, which replaces another at the end of the block.

    After an error the part that was written is removed, and the file stays as it was.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        _sync(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    # The rename is durable only once the folder is.
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
