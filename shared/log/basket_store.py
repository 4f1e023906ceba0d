"""Definitions of baskets, on the topic `models`; the newest one is in force."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain, groupby
from operator import attrgetter
from typing import Final

from shared.adapters.kafka.backwards_reader import read_backwards
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import Aborted, OutcomeUnknown
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.retry import wait_until
from shared.adapters.schemas.baskets import (
    baskets_key,
    decode_baskets,
    encode_baskets,
    is_baskets_key,
)
from shared.core.errors import BadInput, Unavailable
from shared.core.market import BasketDefinition
from shared.core.topics import Topics

log = logging.getLogger(__name__)

_PARTITION: Final = 0  # `models` has one partition
_FIRST_BLOCK: Final = 8  # records of the topic's end: a bundle among them takes about 2 MB
_VISIBLE_S: Final = 10.0


class BasketStore:
    """Reads and publishes definitions. Connects for each call."""

    def __init__(self, kafka: KafkaConnection, topics: Topics) -> None:
        """Take Kafka's address and the deployment's topics; connect on first use."""
        self._kafka, self._topic = kafka, topics.models
        self._transactional_id = topics.transactional_id("baskets")
        self._newest: BasketDefinition | None = None
        self._next_offset: int | None = None  # what was read up to; None: nothing was

    def newest(self) -> BasketDefinition | None:
        """Return the definition in force, or None if the log has none.

        The first call reads backwards, no further than needed; later ones read what was added.

        Raises:
            Unavailable: Kafka does not answer.
        """
        with Reader(self._kafka, self._topic) as reader:
            if not reader.partitions():
                return None
            end = reader.ends(_PARTITION)[1]
            found = (
                _last_backwards(reader)
                if self._next_offset is None
                else _last(_definitions(_records(reader, self._next_offset, end)))
            )
        self._newest, self._next_offset = found or self._newest, end
        return self._newest

    def all(self) -> list[BasketDefinition]:
        """Return every definition in the order of publication; log and skip a damaged one.

        One that was published again while it was in force comes once.

        Raises:
            Unavailable: Kafka does not answer.
        """
        with Reader(self._kafka, self._topic) as reader:
            if not reader.partitions():
                return []
            found = _definitions(_records(reader, 0, reader.ends(_PARTITION)[1]))
            return [next(same) for _, same in groupby(found, attrgetter("version"))]

    def publish(self, definition: BasketDefinition) -> None:
        """Put a definition in force; one that is in force already is not written again.

        Raises:
            Unavailable: Kafka did not take it, or not for certain; publish it again.
        """
        if self._is_in_force(definition):
            return
        record = self.to_record(definition, definition.made_through_ms)
        with closing(TransactionalProducer(self._kafka, self._transactional_id)) as writer:
            try:
                writer.write([record])
            except (Aborted, OutcomeUnknown) as error:
                message = f"baskets {definition.version} may not be published; try again: {error}"
                raise Unavailable(message) from error
        # A commit is answered a moment before it can be read.
        if not wait_until(lambda: self._is_in_force(definition), timeout_s=_VISIBLE_S):
            version = definition.version
            log.warning("baskets %s are committed, not visible after %g s", version, _VISIBLE_S)

    def to_record(self, definition: BasketDefinition, timestamp_ms: int) -> ProducerRecord:
        """Return the record that puts a definition in force."""
        key, value = baskets_key(definition.version), encode_baskets(definition)
        return ProducerRecord(self._topic, _PARTITION, key, value, timestamp_ms)

    def _is_in_force(self, definition: BasketDefinition) -> bool:
        newest = self.newest()
        return newest is not None and newest.version == definition.version


def _last_backwards(reader: Reader) -> BasketDefinition | None:
    for span in read_backwards(reader, _PARTITION, _FIRST_BLOCK):
        found = _last(_definitions(span))
        if found is not None:
            return found
    return None


def _records(reader: Reader, start: int, end: int) -> Iterator[ConsumerRecord]:
    return chain.from_iterable(reader.read(_PARTITION, start, end))


def _definitions(records: Iterable[ConsumerRecord]) -> Iterator[BasketDefinition]:
    """Yield the definitions among records; exhausts them."""
    for record in records:
        if not is_baskets_key(record.key):
            continue
        try:
            yield decode_baskets(record.value)
        except BadInput as error:
            log.warning("%r at offset %d is passed over: %s", record.key, record.offset, error)


def _last(definitions: Iterable[BasketDefinition]) -> BasketDefinition | None:
    last = None
    for last in definitions:  # noqa: B007 -- the reader wants its span exhausted
        pass
    return last
