"""Following topics as they grow, without a group."""

from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from shared.adapters.kafka.errors import is_transient, to_app_error
from shared.adapters.kafka.reader import (
    ANSWER_S,
    ConsumerRecord,
    poll_batch,
    read_headers,
    to_consumer_record,
)


class TailRecord(NamedTuple):
    """A record, and what its headers say."""

    topic: str
    record: ConsumerRecord
    headers: dict[str, bytes]


class TopicTail:
    """Reads all partitions of topics, from some records before their ends on."""

    def __init__(self, bootstrap: str, topics: Iterable[str], tail: int = 0) -> None:
        """Start `tail` records before the end of each partition.

        Raises:
            Unavailable: Kafka does not answer.
        """
        self._bootstrap = bootstrap
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "ulstm-follower",  # the client wants one; it is never joined
                "enable.auto.commit": False,
                "auto.offset.reset": "latest",
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )
        try:
            self._consumer.assign(
                [place for topic in topics for place in self._places(topic, tail)]
            )
        except KafkaException as error:
            raise to_app_error(error, bootstrap, "starting to follow topics") from error

    def poll(self, most: int, timeout_s: float) -> list[TailRecord]:
        """Return what has arrived, waiting for the first record at most so long.

        Raises:
            Unavailable: the broker says what waiting will not mend.
        """
        arrived = []
        for message in poll_batch(self._consumer, most, timeout_s):
            fault = message.error()
            if fault is None:
                arrived.append(
                    TailRecord(
                        message.topic() or "", to_consumer_record(message), read_headers(message)
                    )
                )
            elif not (fault.retriable() or is_transient(fault.code())):
                raise to_app_error(KafkaException(fault), self._bootstrap, "following topics")
        return arrived

    def __enter__(self) -> Self:
        """Return the follower itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._consumer.close()

    def _places(self, topic: str, tail: int) -> list[TopicPartition]:
        found = self._consumer.list_topics(topic, timeout=ANSWER_S).topics[topic]
        places = []
        for partition in found.partitions:
            place = TopicPartition(topic, partition)
            first, end = self._consumer.get_watermark_offsets(place, timeout=ANSWER_S)
            places.append(TopicPartition(topic, partition, max(first, end - tail)))
        return places
