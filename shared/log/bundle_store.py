"""Model bundles by version, on the topic `models`."""

import logging
import time
from collections.abc import Iterator
from typing import Final

from shared.adapters.bundle_codec import decode_bundle
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.baskets import is_baskets_key
from shared.adapters.schemas.withdrawals import decode_withdrawal, encode_withdrawal
from shared.core.errors import BadInput, Incompatible, Unavailable, Unknown
from shared.core.model.card import Bundle, sha256_hex
from shared.core.topics import Topics

log = logging.getLogger(__name__)

WITHDRAWN: Final = "withdrawn"  # why a version has no bundle and never will
_PARTITION: Final = 0  # `models` has one partition
_PUBLISHED_MS: Final = "published_ms"
_MOST_DIGITS: Final = 15  # of a time in ms


def published_ms(record: ConsumerRecord) -> int | None:
    """Return when a bundle was published, by its record's headers; None if they do not tell."""
    text = (record.headers or {}).get(_PUBLISHED_MS, b"")
    return int(text) if text.isdigit() and len(text) <= _MOST_DIGITS else None


def decode_version(version: str, value: bytes | None) -> Bundle:
    """Return the bundle of a version's first record.

    Raises:
        BadInput: it is no usable bundle, or withdraws the version.
    """
    reason = _withdrawal_reason(value)
    if reason:
        raise BadInput(WITHDRAWN, f"model version {version} was withdrawn: {reason}")
    return decode_bundle(version, value)


def _withdrawal_reason(value: bytes | None) -> str:
    """Return why a version was withdrawn; empty if its record is no withdrawal."""
    try:
        return decode_withdrawal(value).reason
    except BadInput:
        return ""


class BundleStore:
    """Reads bundles. Connects for each call, so no connection is open between calls."""

    def __init__(self, kafka: KafkaConnection, topics: Topics) -> None:
        """Take Kafka's address and the deployment's topics; connect on first use."""
        self._kafka, self._topic = kafka, topics.models
        # By version, the offset of its first record: a later record of the version changes nothing.
        self._offsets: dict[str, int] = {}
        self._digests: dict[str, str | None] = {}  # by version; None: no bundle, for good
        self._next_offset = 0

    def versions(self) -> list[str]:
        """Return the model versions in the order of their publication."""
        with Reader(self._kafka, self._topic) as reader:
            self._index_new_records(reader)
        return list(self._offsets)

    def load_all(self) -> Iterator[Bundle]:
        """Yield the bundles in the order of their publication; log and skip a damaged one."""
        for version in self.versions():
            try:
                yield self.load(version)
            except BadInput as error:
                log.warning("%s", error)

    def load(self, version: str) -> Bundle:
        """Return the bundle of a version.

        Raises:
            Unknown: the log has none of this version.
            BadInput: its bytes are no usable bundle, or it was withdrawn.
            Unavailable: Kafka does not answer.
        """
        return decode_version(version, self._read(version))

    def is_usable(self, version: str, sha256: str) -> bool:
        """Say whether a promotion of these bytes takes effect: the bundle is there and sound.

        Raises:
            Unavailable: Kafka does not answer.
        """
        if version not in self._digests:
            try:
                self._digests[version] = self.load(version).sha256
            except BadInput:
                self._digests[version] = None
            except Unknown:
                return False  # it may come
        return self._digests[version] == sha256

    def contains(self, version: str, sha256: str) -> bool:
        """Say whether the log has a version with these bytes.

        Raises:
            Incompatible: it has the version with other bytes.
        """
        try:
            stored = self._read(version)
        except Unknown:
            return False
        if stored is not None and sha256_hex(stored) == sha256:
            return True
        if _withdrawal_reason(stored):
            raise Incompatible(f"model version {version} was withdrawn; publish under another")
        raise Incompatible(
            f"model version {version} is in the log with other bytes; publish under another version"
        )

    def to_record(self, version: str, data: bytes, timestamp_ms: int) -> ProducerRecord:
        """Return the record that publishes a bundle; a header has the time of day."""
        now_ms = time.time_ns() // 1_000_000
        headers = [(_PUBLISHED_MS, str(now_ms).encode())]
        return ProducerRecord(
            self._topic, _PARTITION, version.encode(), data, timestamp_ms, headers
        )

    def to_withdrawal(self, version: str, reason: str) -> ProducerRecord:
        """Return the record that withdraws a version."""
        now_ms = time.time_ns() // 1_000_000
        value = encode_withdrawal(reason, now_ms)
        return ProducerRecord(self._topic, _PARTITION, version.encode(), value, now_ms)

    def _index_new_records(self, reader: Reader) -> None:
        if not reader.partitions():
            return
        for block in reader.read(_PARTITION, self._next_offset):
            for record in block:
                self._next_offset = record.offset + 1
                if not is_baskets_key(record.key):
                    version = (record.key or b"").decode("ascii", "replace")
                    self._offsets.setdefault(version, record.offset)

    def _read(self, version: str) -> bytes | None:
        with Reader(self._kafka, self._topic) as reader:
            if version not in self._offsets:
                self._index_new_records(reader)
            if version not in self._offsets:
                raise Unknown(
                    f"model version {version} is not in topic {self._topic};"
                    " `ulstm models list` shows those that are"
                )
            offset = self._offsets[version]
            for block in reader.read(_PARTITION, offset, offset + 1):
                return block[0].value
        raise Unavailable(f"topic {self._topic} does not show offset {offset} of version {version}")
