"""Reading a topic without a group: ranges, tails and ends. Only committed records are seen."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from shared.adapters.kafka.errors import to_app_error
from shared.core.errors import Unavailable

ANSWER_S: Final = 10.0
_BATCH: Final = 2000
_IDLE_S: Final = 30.0  # no record and no end of partition for so long: the broker does not answer


class ConsumerRecord(NamedTuple):
    """A record as it lies in the log."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] | None = None  # None: not asked for


def to_consumer_record(message: Message, *, headers: bool = False) -> ConsumerRecord:
    """Return a client's message as a value."""
    partition, offset = message.partition(), message.offset()
    if partition is None or offset is None:
        text = "a message without a place in the log"
        raise ValueError(text)
    key, value = _raw(message.key()), _raw(message.value())
    return ConsumerRecord(
        partition,
        offset,
        message.timestamp()[1],
        key,
        value,
        read_headers(message) if headers else None,
    )


def read_headers(message: Message) -> dict[str, bytes]:
    """Return a message's headers; of a name that comes twice, the last."""
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return {name: value for name, value in pairs if isinstance(value, bytes)}


def _raw(data: str | bytes | None) -> bytes | None:
    return data.encode() if isinstance(data, str) else data


def poll_batch(consumer: Consumer, most: int, timeout_s: float) -> list[Message]:
    """Return what there is, waiting for the first message only (`consume` alone waits until it has `most`)."""
    first = consumer.poll(timeout_s)
    return [] if first is None else [first, *consumer.consume(most - 1, timeout=0.0)]


class Reader:
    """A consumer that belongs to no group."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        *,
        headers: bool = False,
        client: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        """Prepare to read a topic, if wanted with headers; connects on first use.

        A client is made from its configuration.
        """
        self._bootstrap, self._topic, self._headers = bootstrap, topic, headers
        self._client = client
        self._beside: Consumer | None = None  # sees what is not committed as well
        self._consumer = self._connected("read_committed")
        self._is_closed = False

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._is_closed = True
        self._consumer.close()
        if self._beside is not None:
            self._beside.close()

    def partitions(self) -> int:
        """Return the number of partitions; 0 if there is no such topic."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=ANSWER_S).topics[self._topic]
        except KafkaException as error:
            raise to_app_error(error, self._bootstrap, f"asking for topic {self._topic}") from error
        return len(found.partitions)

    def ends(self, partition: int) -> tuple[int, int]:
        """Return the first offset and the one after the last that can be read."""
        return self._ends(self._consumer, partition)

    def _ends(self, consumer: Consumer, partition: int) -> tuple[int, int]:
        place = TopicPartition(self._topic, partition)
        try:
            found = consumer.get_watermark_offsets(place, timeout=ANSWER_S)
        except KafkaException as error:
            if error.args[0].code() == KafkaError._UNKNOWN_PARTITION:
                with contextlib.suppress(KafkaException):
                    # Once told that a partition has no leader, the client does not ask again for minutes.
                    consumer.list_topics(self._topic, timeout=ANSWER_S)
            raise to_app_error(
                error, self._bootstrap, f"asking for the ends of {self._topic}"
            ) from error
        return int(found[0]), int(found[1])

    def is_settled(self, partition: int) -> bool:
        """Say whether every transaction that has written here so far is committed or taken back.

        An answered commit does not show at once, and an open transaction hides what was committed after it began.
        """
        self._beside = self._beside or self._connected("read_uncommitted")
        written = self._ends(self._beside, partition)[1]
        return self.ends(partition)[1] >= written

    def offset_at(self, partition: int, time_ms: int) -> int:
        """Return the first offset whose record is of this time or later; the end if there is none."""
        place = TopicPartition(self._topic, partition, max(time_ms, 0))
        try:
            found = self._consumer.offsets_for_times([place], timeout=ANSWER_S)[0].offset
        except KafkaException as error:
            raise to_app_error(
                error, self._bootstrap, f"looking up a time in {self._topic}"
            ) from error
        return int(found) if found >= 0 else self.ends(partition)[1]

    def read(
        self, partition: int, start: int, end: int | None = None
    ) -> Iterator[list[ConsumerRecord]]:
        """Yield the records from `start` up to, not including, `end` (default: the end at this moment).

        Raises:
            Unavailable: the broker stops answering.
        """
        first, last = self.ends(partition)
        end = last if end is None else end
        start = max(start, first)
        if start >= end:
            return
        if self._consumer.assignment():
            message = f"{self._topic} is being read already: a reader reads one span at a time"
            raise RuntimeError(message)
        self._consumer.assign([TopicPartition(self._topic, partition, start or OFFSET_BEGINNING)])
        try:
            yield from self._until(partition, end)
        finally:
            if (
                not self._is_closed
            ):  # whoever gives up in the midst of a span may close the reader first
                self._consumer.unassign()

    def _connected(self, isolation: str) -> Consumer:
        return self._client(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": "ulstm-reader",  # the client wants one; it is never joined
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "fetch.max.bytes": 64 * 1024 * 1024,
                "queued.max.messages.kbytes": 32 * 1024,
                "fetch.wait.max.ms": 10,  # the end of a partition shows after an empty fetch
                "log_level": 0,
            }
        )

    def _until(self, partition: int, end: int) -> Iterator[list[ConsumerRecord]]:
        while True:
            messages = poll_batch(self._consumer, _BATCH, _IDLE_S)
            if not messages:
                text = f"Kafka at {self._bootstrap} sent nothing of {self._topic}/{partition} for {_IDLE_S:g} s"
                raise Unavailable(text)
            records, ended = self._sorted_out(messages, end)
            if records:
                yield records
            if ended:
                return

    def _sorted_out(self, messages: list[Message], end: int) -> tuple[list[ConsumerRecord], bool]:
        records: list[ConsumerRecord] = []
        for message in messages:
            fault = message.error()
            if fault is None:
                record = to_consumer_record(message, headers=self._headers)
                if record.offset >= end:
                    return records, True
                records.append(record)
                if record.offset == end - 1:
                    return records, True
            elif fault.code() == KafkaError._PARTITION_EOF:
                return records, True
            elif not fault.retriable():
                raise to_app_error(KafkaException(fault), self._bootstrap, f"reading {self._topic}")
        return records, False
