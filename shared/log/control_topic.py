"""The topic `control`: read from its beginning, then what was added; written in transactions."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import Final

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import Aborted, Fenced, OutcomeUnknown
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.kafka.tail import TopicTail
from shared.adapters.schemas.control import decode_control, encode_control
from shared.core.control import (
    ControlRecord,
    ControlState,
    CopyProgress,
    ExchangeBan,
    SkippedPrediction,
    SymbolControl,
)
from shared.core.errors import BadInput, Unavailable
from shared.core.topics import Topics

log = logging.getLogger(__name__)

_PARTITION: Final = 0  # one order for all records
_TAIL: Final = 10_000  # records before the end, among them those since the last reading
_BATCH: Final = 1_000
# No symbols: those have capitals.
_BAN_KEY: Final = b"ban"
_SKIP_KEY: Final = b"skip"
_COPY_KEY: Final = b"copy"


class ControlTopic:
    """Reads and publishes control records. All but `poll` connect for each call."""

    def __init__(self, kafka: KafkaConnection, topics: Topics, writer: str) -> None:
        """Take Kafka's address and the deployment's topics; connect on first use.

        Args:
            kafka: how Kafka is reached.
            topics: the deployment's topics.
            writer: tells writers of a deployment apart, such as `cli`; two of the same fence each
                other.
        """
        self._kafka, self._topics = kafka, topics
        self._transactional_id = topics.transactional_id(f"control-{writer}")
        self._next_offset = 0
        self._tail: TopicTail | None = None
        self.state = ControlState()

    def refresh(self) -> ControlState:
        """Read what was added since the last call; return the state as of now.

        Raises:
            Unavailable: Kafka does not answer.
        """
        with Reader(self._kafka, self._topics.control) as reader:
            if not reader.partitions():
                return self.state
            end = reader.ends(_PARTITION)[1]
            added = chain.from_iterable(reader.read(_PARTITION, self._next_offset, end))
            records = list(self._decode(added))
        self.state.add(records)
        self._next_offset = end
        return self.state

    def poll(self, timeout_s: float) -> bool:
        """Wait for records that are added from now on; return whether there were any.

        One connection stays open for it: see `close`. Call `refresh` once before.

        Raises:
            Unavailable: Kafka does not answer.
        """
        try:
            if self._tail is None:
                self._tail = TopicTail(self._kafka, [self._topics.control], _TAIL)
            arrived = self._tail.poll(_BATCH, timeout_s)
        except Unavailable:
            self.close()
            raise
        added = [each.record for each in arrived if each.record.offset >= self._next_offset]
        if added:
            self.state.add(self._decode(added))
            self._next_offset = added[-1].offset + 1
        return bool(added)

    def close(self) -> None:
        """Close the connection of `poll`."""
        if self._tail is not None:
            self._tail.close()
            self._tail = None

    def publish(self, records: Sequence[ControlRecord]) -> None:
        """Append records in one transaction.

        Raises:
            Unavailable: Kafka did not take them, or not for certain; publish them again.
        """
        now_ms = time.time_ns() // 1_000_000
        with closing(TransactionalProducer(self._kafka, self._transactional_id)) as writer:
            try:
                writer.write([self.to_record(record, now_ms) for record in records])
            except (Aborted, OutcomeUnknown, Fenced) as error:
                message = f"the topic {self._topics.control} may lack a change; try again: {error}"
                raise Unavailable(message) from error

    def to_record(self, record: ControlRecord, now_ms: int) -> ProducerRecord:
        """Return the record to append, for a transaction that writes other topics too."""
        key = _key_of(record)
        value = encode_control(record, self._topics.interval)
        return ProducerRecord(self._topics.control, _PARTITION, key, value, now_ms)

    def _decode(self, records: Iterable[ConsumerRecord]) -> Iterator[ControlRecord]:
        for record in records:
            try:
                decoded = decode_control(record.value, self._topics.interval)
            except BadInput as error:
                topic, offset = self._topics.control, record.offset
                log.warning("%s: the record at offset %d is skipped: %s", topic, offset, error)
                continue
            if decoded is not None:
                yield decoded


def _key_of(record: ControlRecord) -> bytes:
    match record:
        case ExchangeBan():
            return _BAN_KEY
        case CopyProgress():
            return _COPY_KEY
        case SkippedPrediction():
            return _SKIP_KEY
        case SymbolControl():
            return record.symbol.encode()
