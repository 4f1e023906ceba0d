"""A member of a consumer group that remembers what it was told."""

import sys
from typing import Final

from confluent_kafka import Consumer, KafkaError, TopicPartition

_POLL_S: Final = 0.02
_GENERATION: Final = slice(7, 11)  # of a membership: CGMDv2:, generation, group, NUL, member, NUL


class GroupMember:
    """All it knows comes out of methods, so that it can live in another process."""

    def __init__(self, consumer: Consumer, topic: str) -> None:
        self.consumer = consumer
        self._topic = topic
        self._held: list[int] = []
        self._told: list[tuple[str, list[int]]] = []
        self._events: list[str] = []
        self._read: list[tuple[int, int]] = []
        consumer.subscribe(
            [topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def poll(self) -> None:
        message = self.consumer.poll(_POLL_S)
        if message is None:
            return
        fault, partition, offset = message.error(), message.partition(), message.offset()
        if fault is None:
            assert partition is not None
            assert offset is not None
            self._read.append((partition, offset))
        elif fault.code() != KafkaError._PARTITION_EOF:
            self._events.append(fault.name())

    def held(self) -> list[int]:
        return sorted(self._held)

    def told(self) -> list[tuple[str, list[int]]]:
        """What the callbacks said, in order; that nothing has changed is left out."""
        return self._told

    def events(self) -> list[str]:
        return self._events

    def read(self) -> list[tuple[int, int]]:
        """The partitions and offsets of the records that came."""
        return self._read

    def membership(self) -> bytes:
        return bytes(self.consumer.consumer_group_metadata())

    def generation(self) -> int:
        return parsed(self.membership())[0]

    def close(self) -> None:
        self.consumer.close()

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        for place in places:
            place.offset = 0
        consumer.incremental_assign(places)
        self._held += self._tell("assigned", places)

    def _revoked(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        consumer.incremental_unassign(places)
        self._give_up(self._tell("revoked", places))

    def _lost(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        consumer.incremental_unassign(places)
        self._give_up(self._tell("lost", places))

    def _tell(self, what: str, places: list[TopicPartition]) -> list[int]:
        partitions = sorted(place.partition for place in places)
        if partitions:
            self._told.append((what, partitions))
        return partitions

    def _give_up(self, partitions: list[int]) -> None:
        self._held = [partition for partition in self._held if partition not in partitions]


def membership(generation: int, group: str, member: str) -> bytes:
    """Return a membership as the client writes it."""
    number = generation.to_bytes(4, sys.byteorder, signed=True)
    return b"CGMDv2:" + number + group.encode() + b"\0" + member.encode() + b"\0\1"


def parsed(data: bytes) -> tuple[int, str, str]:
    """Return the generation, the group and the member of a membership."""
    generation = int.from_bytes(data[_GENERATION], sys.byteorder, signed=True)
    group, member = data[_GENERATION.stop :].split(b"\0")[:2]
    return generation, group.decode(), member.decode()
