"""A member of a consumer group that records its callbacks and errors."""

import sys
from typing import Final

from confluent_kafka import Consumer, KafkaError, TopicPartition

_POLL_S: Final = 0.02
# Layout of a membership: "CGMDv2:", generation (4 bytes), group, NUL, member, NUL.
_GENERATION: Final = slice(7, 11)


class RecordingMember:
    """Gives everything through methods, so that it can run in another process."""

    def __init__(self, consumer: Consumer, topic: str) -> None:
        self.consumer = consumer
        self._topic = topic
        self._assignment: list[int] = []
        self._callbacks: list[tuple[str, list[int]]] = []
        self._errors: list[str] = []
        self._read: list[tuple[int, int]] = []
        consumer.subscribe(
            [topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def poll(self) -> None:
        message = self.consumer.poll(_POLL_S)
        if message is None:
            return
        error, partition, offset = message.error(), message.partition(), message.offset()
        if error is None:
            assert partition is not None
            assert offset is not None
            self._read.append((partition, offset))
        elif error.code() != KafkaError._PARTITION_EOF:
            self._errors.append(error.name())

    def assignment(self) -> list[int]:
        return sorted(self._assignment)

    def callbacks(self) -> list[tuple[str, list[int]]]:
        """Return (kind, partitions) of the rebalance callbacks that named any, in order."""
        return self._callbacks

    def errors(self) -> list[str]:
        return self._errors

    def read(self) -> list[tuple[int, int]]:
        """Return (partition, offset) of the records received."""
        return self._read

    def membership(self) -> bytes:
        return bytes(self.consumer.consumer_group_metadata())

    def generation(self) -> int:
        return parse_membership(self.membership())[0]

    def close(self) -> None:
        self.consumer.close()

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        for place in places:
            place.offset = 0
        consumer.incremental_assign(places)
        self._assignment += self._record_callback("assigned", places)

    def _revoked(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        consumer.incremental_unassign(places)
        self._remove(self._record_callback("revoked", places))

    def _lost(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        consumer.incremental_unassign(places)
        self._remove(self._record_callback("lost", places))

    def _record_callback(self, what: str, places: list[TopicPartition]) -> list[int]:
        partitions = sorted(place.partition for place in places)
        if partitions:
            self._callbacks.append((what, partitions))
        return partitions

    def _remove(self, partitions: list[int]) -> None:
        self._assignment = [
            partition for partition in self._assignment if partition not in partitions
        ]


def build_membership(generation: int, group: str, member: str) -> bytes:
    """Return a membership as librdkafka encodes it."""
    number = generation.to_bytes(4, sys.byteorder, signed=True)
    return b"CGMDv2:" + number + group.encode() + b"\0" + member.encode() + b"\0\1"


def parse_membership(data: bytes) -> tuple[int, str, str]:
    """Return the generation, the group and the member of a membership."""
    generation = int.from_bytes(data[_GENERATION], sys.byteorder, signed=True)
    group, member = data[_GENERATION.stop :].split(b"\0")[:2]
    return generation, group.decode(), member.decode()
