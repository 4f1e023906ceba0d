"""A folder of secrets: a file is written once and kept, readable by its owner."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shared.adapters.atomic_write import replace_atomically

_OWNER: Final = 0o600
_OWNER_AND_GROUP: Final = 0o640
_MAY_ENTER: Final = 0o110


class SecretFolder:
    """Files below a folder; existing ones are kept, so that creation can be repeated."""

    def __init__(self, root: Path, *, group_reads: bool) -> None:
        """Take the folder.

        Args:
            root: it is made when its first file is written.
            group_reads: let the group read the files too, not the owner alone.
        """
        self._root = root
        self._mode = _OWNER_AND_GROUP if group_reads else _OWNER
        self.written: list[str] = []

    def read_or_create(self, name: str, create: Callable[[], bytes]) -> bytes:
        """Return a file's content; create the file if it is not there.

        Raises:
            OSError: it can be neither read nor written.
        """
        if not (self._root / name).exists():
            self.write(name, create())
        return (self._root / name).read_bytes()

    def has(self, name: str) -> bool:
        """Say whether a file is there."""
        return (self._root / name).exists()

    def write(self, name: str, data: bytes) -> None:
        """Write a file, unless it has this content already.

        Raises:
            OSError: it can be neither read nor written.
        """
        path = self._root / name
        if path.exists() and path.read_bytes() == data:
            return
        path.parent.mkdir(mode=self._mode | _MAY_ENTER, parents=True, exist_ok=True)
        with replace_atomically(path) as part:
            # It has its mode before it has its content.
            os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, _OWNER))
            part.chmod(self._mode)
            part.write_bytes(data)
        self.written.append(name)
