"""Derive predictions again, as `ulstm replay` and `ulstm verify` do, with digests of both sides."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from shared.adapters.env_settings import ServiceSettings
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput
from shared.core.online.context import FoldContext
from shared.core.records import Record
from shared.log.model_cache import LoadBundle, ModelCache
from shared.log.record_processor import RecordProcessor


def build_processor(settings: ServiceSettings, load: LoadBundle) -> RecordProcessor:
    """Return the processor of a deployment's klines on this machine.

    Raises:
        Incompatible: this machine does not compute the golden bits.
    """
    context = FoldContext.of_this_machine(settings.interval)
    codec = RepeatedCodec(settings.interval, context.interval_ms, settings.symbol_groups)
    return RecordProcessor(settings.topics.klines, codec, context, ModelCache(load))


class RepeatedCodec(KlineCodec):
    """Decodes a record once, however many readers in a row ask for it."""

    _bytes: bytes | None = None
    _decoded: Record | BadInput | None = None

    def decode(self, value: bytes | None, partition: int) -> Record:
        """Return the record of a message's bytes; see `KlineCodec.decode`."""
        if value is None or value is not self._bytes:
            object.__setattr__(self, "_decoded", self._try(value, partition))
            object.__setattr__(self, "_bytes", value)
        decoded = self._decoded
        if decoded is None or isinstance(decoded, BadInput):
            raise decoded or BadInput("bad_size", "a record has no value")
        return decoded

    def _try(self, value: bytes | None, partition: int) -> Record | BadInput:
        try:
            return super().decode(value, partition)
        except BadInput as error:
            return error


@dataclass(slots=True)
class RunningDigest:
    """SHA-256 over the keys and values of records, in order."""

    count: int = 0
    _hash: Any = field(default_factory=hashlib.sha256)

    def add(self, key: bytes | None, value: bytes | None) -> None:
        """Append a record; an absent key or value counts as an empty one."""
        self.count += 1
        for part in (key or b"", value or b""):
            # The lengths go in too, so that no bytes can move from key to value.
            self._hash.update(len(part).to_bytes(4, "big"))
            self._hash.update(part)

    @property
    def sha256(self) -> str:
        """The digest so far, in hexadecimal."""
        return str(self._hash.hexdigest())
