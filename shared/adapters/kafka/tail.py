"""Follow topics as they grow, without a consumer group."""

from collections.abc import Iterable
from typing import NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import TopicMetadata  # type: ignore[attr-defined]

from shared.adapters.kafka.connection import READER_GROUP, KafkaConnection
from shared.adapters.kafka.errors import is_transient, to_app_error, translate_errors
from shared.adapters.kafka.reader import (
    REQUEST_S,
    ConsumerRecord,
    is_about_group,
    poll_batch,
    to_consumer_record,
    topic_metadata,
)
from shared.core.errors import Unknown


class TailRecord(NamedTuple):
    """A record, its headers included, with its topic."""

    topic: str
    record: ConsumerRecord


class TopicTail:
    """Reads all partitions of topics, from some records before their ends on."""

    def __init__(
        self,
        kafka: KafkaConnection,
        topics: Iterable[str],
        tail: int = 0,
        request_s: float = REQUEST_S,
    ) -> None:
        """Start `tail` records before the end of each partition.

        `spans` has the offsets of these records by topic and partition: the first that is read,
        and the one after the last that was there at the start.

        Raises:
            Unavailable: Kafka does not answer.
        """
        self._kafka, self._topics, self._request_s = kafka, tuple(topics), request_s
        self.spans: dict[tuple[str, int], tuple[int, int]] = {}
        self.was_disconnected = False  # since the caller set it to False
        self._consumer = Consumer(
            kafka.client_config(
                {
                    "group.id": READER_GROUP,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "latest",
                    "isolation.level": "read_committed",
                    "queued.max.messages.kbytes": 16 * 1024,
                    "reconnect.backoff.max.ms": 1_000,  # who looks on wants to see it come back
                    "error_cb": self._on_connection_error,
                }
            )
        )
        with translate_errors(kafka, "starting to follow topics"):
            self._consumer.assign(
                [place for topic in self._topics for place in self._tail_places(topic, tail)]
            )

    def poll(self, max_records: int, timeout_s: float) -> list[TailRecord]:
        """Return the records that have arrived, waiting for the first at most `timeout_s`.

        Raises:
            Unavailable: the broker reports an error that it does not recover from by itself.
        """
        records = []
        for message in poll_batch(self._consumer, max_records, timeout_s):
            error = message.error()
            if error is None:
                record = to_consumer_record(message, headers=True)
                records.append(TailRecord(message.topic() or "", record))
            elif not (error.retriable() or is_transient(error.code()) or is_about_group(error)):
                right = f"Read on {' and '.join(self._topics)}"
                action = "following topics"
                raise to_app_error(KafkaException(error), self._kafka, action, right)
        return records

    def lag(self) -> dict[str, int]:
        """Return by topic how many records are known to be there and were not read yet.

        Asks nobody: the broker tells the ends of the partitions with every fetch. The marks of
        transactions count as records until the next record has been read.
        """
        lag: dict[str, int] = dict.fromkeys(self._topics, 0)
        for place in self._consumer.position(self._consumer.assignment()):
            end = self._consumer.get_watermark_offsets(place, cached=True)[1]
            position = (
                place.offset if place.offset >= 0 else self.spans[place.topic, place.partition][0]
            )
            lag[place.topic] += max(0, end - position)
        return lag

    def check(self) -> None:
        """Ask for the topics: `poll` alone cannot tell a silent topic from a dead broker.

        Raises:
            Unavailable: it does not answer.
            NotAuthorized: this client may not read one of them.
            Unknown: there is no such topic.
        """
        for topic in self._topics:
            if not self._metadata(topic).partitions:
                raise Unknown(f"Kafka at {self._kafka} has no topic {topic}")

    def __enter__(self) -> Self:
        """Return the tail itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def _on_connection_error(self, _: KafkaError) -> None:
        self.was_disconnected = True

    def _metadata(self, topic: str) -> TopicMetadata:
        return topic_metadata(self._consumer, self._kafka, topic, self._request_s)

    def _tail_places(self, topic: str, tail: int) -> list[TopicPartition]:
        places = []
        for partition in self._metadata(topic).partitions:
            place = TopicPartition(topic, partition)
            first, end = self._consumer.get_watermark_offsets(place, timeout=self._request_s)
            start = max(first, end - tail)
            self.spans[topic, partition] = start, end
            places.append(TopicPartition(topic, partition, start))
        return places
