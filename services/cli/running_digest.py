"""A SHA-256 over records that is extended record by record."""

import hashlib
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class RunningDigest:
    """SHA-256 over the keys and values of records, in order."""

    count: int = 0
    _hash: Any = field(default_factory=hashlib.sha256)

    def add(self, key: bytes, value: bytes) -> None:
        """Append a record; the lengths go in too, so that no bytes can move from key to value."""
        self.count += 1
        for part in (key, value):
            self._hash.update(len(part).to_bytes(4, "big"))
            self._hash.update(part)

    @property
    def sha256(self) -> str:
        """The digest so far, in hexadecimal."""
        return str(self._hash.hexdigest())
