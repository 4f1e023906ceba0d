"""Read spans of a topic without a consumer group. Only committed records are seen."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Self

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import TopicMetadata  # type: ignore[attr-defined]

from shared.adapters.kafka.connection import READER_GROUP, KafkaConnection
from shared.adapters.kafka.errors import is_denial, to_app_error, to_denial, translate_errors
from shared.core.errors import Unavailable

REQUEST_S: Final = 10.0
_END_TRIES: Final = 3  # of asking for the ends of a partition; its leader may have moved
_BATCH: Final = 2000
_FETCH_BYTES: Final = 1024 * 1024
_IDLE_S: Final = 30.0  # without a record or an end of partition: the broker does not answer


class ConsumerRecord(NamedTuple):
    """A record with its place in the log."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] | None = None  # None: not asked for


def _watermarks(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    first, end = consumer.get_watermark_offsets(place, timeout=REQUEST_S / _END_TRIES)
    return int(first), int(end)


def to_consumer_record(message: Message, *, headers: bool = False) -> ConsumerRecord:
    """Return a client's message as a value."""
    partition = message.partition()
    if partition is None:
        raise ValueError("a message without a place in the log")
    return ConsumerRecord(
        partition,
        _offset_of(message),
        message.timestamp()[1],
        _to_bytes(message.key()),
        _to_bytes(message.value()),
        _read_headers(message) if headers else None,
    )


def _offset_of(message: Message) -> int:
    offset = message.offset()
    if offset is None:
        raise ValueError("a message without a place in the log")
    return offset


def _read_headers(message: Message) -> dict[str, bytes]:
    """Return a message's headers; of a name that comes twice, the last."""
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return {name: value for name, value in pairs if isinstance(value, bytes)}


def _to_bytes(data: str | bytes | None) -> bytes | None:
    return data.encode() if isinstance(data, str) else data


def poll_batch(consumer: Consumer, max_messages: int, timeout_s: float) -> list[Message]:
    """Return the messages that are there, waiting for the first one only.

    `consume` alone waits until it has `max_messages`.
    """
    first = consumer.poll(timeout_s)
    return [] if first is None else [first, *consumer.consume(max_messages - 1, timeout=0.0)]


def topic_metadata(
    consumer: Consumer, kafka: KafkaConnection, topic: str, timeout_s: float
) -> TopicMetadata:
    """Return Kafka's metadata of a topic; one that does not exist has no partitions.

    Raises:
        NotAuthorized: this client may not read the topic.
        Unavailable: Kafka does not answer.
    """
    action = f"reading about {topic}"
    with translate_errors(kafka, action):
        found: TopicMetadata = consumer.list_topics(topic, timeout=timeout_s).topics[topic]
    if found.error is not None and is_denial(found.error.code()):
        raise to_denial(found.error, kafka, action, f"Read on topic {topic}")
    return found


def is_about_group(error: KafkaError) -> bool:
    """Say whether an error is about the group that a client must name though it never joins it."""
    return error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED


class Reader:
    """A consumer that belongs to no group."""

    def __init__(
        self,
        kafka: KafkaConnection,
        topic: str,
        *,
        headers: bool = False,
        key: bytes | None = None,
        fetch_bytes: int = _FETCH_BYTES,
        client: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        """Create the consumer; it connects on first use.

        Args:
            kafka: how Kafka is reached.
            topic: the topic to read.
            headers: read the records' headers too.
            key: of the records to return; None: all. The others are passed over cheaply.
            fetch_bytes: of a partition in one request: little for a look here and there.
            client: makes a consumer of its configuration.
        """
        self.topic = topic
        self._kafka, self._headers, self._client = kafka, headers, client
        self._key, self._fetch_bytes = key, fetch_bytes
        self._consumer = self._connect("read_committed")
        self._uncommitted: Consumer | None = None
        self._is_closed = False

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._is_closed = True
        self._consumer.close()
        if self._uncommitted is not None:
            self._uncommitted.close()

    def partitions(self) -> int:
        """Return the number of partitions; 0 if there is no such topic.

        Raises:
            NotAuthorized: this client may not read the topic.
            Unavailable: Kafka does not answer.
        """
        return len(topic_metadata(self._consumer, self._kafka, self.topic, REQUEST_S).partitions)

    def ends(self, partition: int) -> tuple[int, int]:
        """Return the first offset and the one after the last committed record.

        Raises:
            Unavailable: Kafka does not answer.
        """
        return self._ends(self._consumer, partition)

    def is_settled(self, partition: int) -> bool:
        """Say whether every transaction that has written here so far is committed or aborted.

        A commit is answered before its records can be read, and an open transaction hides the
        records that were committed after it began.
        """
        written_end = self.written_end(partition)
        return self.ends(partition)[1] >= written_end

    def written_end(self, partition: int) -> int:
        """Return the offset after the last record, those of open transactions included.

        Raises:
            Unavailable: Kafka does not answer.
        """
        self._uncommitted = self._uncommitted or self._connect("read_uncommitted")
        return self._ends(self._uncommitted, partition)[1]

    def first_open_record(self, partition: int) -> ConsumerRecord | None:
        """Return the first record of the oldest open transaction, with headers; None: none is.

        Raises:
            Unavailable: Kafka does not answer.
        """
        start, written_end = self.ends(partition)[1], self.written_end(partition)
        if start >= written_end or self._uncommitted is None:
            return None
        self._uncommitted.assign([TopicPartition(self.topic, partition, start)])
        try:
            message = self._uncommitted.poll(REQUEST_S)
        finally:
            self._uncommitted.unassign()
        if message is None or message.error() is not None:
            return None
        return to_consumer_record(message, headers=True)

    def offset_at(self, partition: int, time_ms: int) -> int:
        """Return an offset before which every record is older than a time; the end if all are.

        Marks of transactions count as records of the time when they were written, so in a log with
        imported history this is mostly near its beginning: see shared/log/time_marks.py.
        """
        place = TopicPartition(self.topic, partition, max(time_ms, 0))
        with translate_errors(self._kafka, f"looking up a time in {self.topic}"):
            offset = self._consumer.offsets_for_times([place], timeout=REQUEST_S)[0].offset
        return int(offset) if offset >= 0 else self.ends(partition)[1]

    def read(
        self, partition: int, start: int, end: int | None = None
    ) -> Iterator[list[ConsumerRecord]]:
        """Yield the records from `start` up to, not including, `end` (default: the current end).

        Raises:
            Unavailable: the broker stops answering.
        """
        first, last = self.ends(partition)
        end = last if end is None else end
        start = max(start, first)
        # From beyond the end, as a foreign record may ask, the broker would answer with an error.
        if start >= min(end, last):
            return
        if self._consumer.assignment():
            message = f"{self.topic} is being read already: a reader reads one span at a time"
            raise RuntimeError(message)
        self._consumer.assign([TopicPartition(self.topic, partition, start or OFFSET_BEGINNING)])
        try:
            yield from self._read_until(partition, end)
        finally:
            # A caller that stops within a span may close the reader before this generator.
            if not self._is_closed:
                self._consumer.unassign()

    def _connect(self, isolation_level: str) -> Consumer:
        return self._client(
            self._kafka.client_config(
                {
                    "group.id": READER_GROUP,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "error",
                    "isolation.level": isolation_level,
                    "enable.partition.eof": True,
                    "fetch.max.bytes": 64 * 1024 * 1024,
                    "fetch.message.max.bytes": self._fetch_bytes,
                    "queued.max.messages.kbytes": 32 * 1024,
                    "fetch.wait.max.ms": 10,  # the end of a partition shows after an empty fetch
                }
            )
        )

    def _ends(self, consumer: Consumer, partition: int) -> tuple[int, int]:
        place = TopicPartition(self.topic, partition)
        for _ in range(_END_TRIES - 1):
            try:
                return _watermarks(consumer, place)
            except KafkaException:
                # The client asks the leader that it knew, and caches "no leader" for minutes: only
                # fresh metadata names the broker that leads now. It also tells whether the topic
                # may be read at all.
                with contextlib.suppress(Unavailable):
                    topic_metadata(consumer, self._kafka, self.topic, REQUEST_S / _END_TRIES)
        try:
            with translate_errors(self._kafka, f"reading the ends of {self.topic}"):
                return _watermarks(consumer, place)
        except Unavailable:
            self._replace(consumer)
            raise

    def _replace(self, consumer: Consumer) -> None:
        """Replace a client whose metadata may be stale, unless it is reading.

        After a broker was killed and back, a predictor's client went on to say "unknown partition"
        for as long as anybody watched (seen once, confluent-kafka 2.16.1 and Kafka 4.3.1).
        """
        if consumer is self._uncommitted:
            self._uncommitted = None
        elif consumer.assignment():
            return
        else:
            self._consumer = self._connect("read_committed")
        consumer.close()

    def _read_until(self, partition: int, end: int) -> Iterator[list[ConsumerRecord]]:
        is_complete = False
        while not is_complete:
            messages = poll_batch(self._consumer, _BATCH, _IDLE_S)
            if not messages:
                place = f"{self.topic}/{partition}"
                text = f"Kafka at {self._kafka} sent nothing of {place} for {_IDLE_S:g} s"
                raise Unavailable(text)
            records, is_complete = self._records_before(messages, end)
            if records:
                yield records

    def _records_before(
        self, messages: list[Message], end: int
    ) -> tuple[list[ConsumerRecord], bool]:
        """Return the records before `end`, and whether no more of them follow."""
        records: list[ConsumerRecord] = []
        for message in messages:
            error = message.error()
            if error is None:
                offset = _offset_of(message)
                if offset < end and (self._key is None or message.key() == self._key):
                    records.append(to_consumer_record(message, headers=self._headers))
                if offset >= end - 1:
                    return records, True
            elif error.code() == KafkaError._PARTITION_EOF:
                return records, True
            elif not (error.retriable() or is_about_group(error)):
                right = f"Read on topic {self.topic}"
                action = f"reading {self.topic}"
                raise to_app_error(KafkaException(error), self._kafka, action, right)
        return records, False
