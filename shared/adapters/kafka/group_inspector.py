"""Look at a consumer group from outside: members, committed offsets, and the ends of its topic."""

from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, IsolationLevel, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    ConsumerGroupDescription,
    MemberDescription,
    OffsetSpec,
)

from shared.adapters.kafka.admin_client import KafkaAdmin
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import translate_errors

REQUEST_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class GroupMemberDescription:
    """A member of a consumer group, and the partitions that are assigned to it."""

    member_id: str
    host: str
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """A consumer group: Kafka's name of its state in lower case, such as `stable`, and members."""

    state: str
    members: tuple[GroupMemberDescription, ...]

    @property
    def is_settled(self) -> bool:
        """Whether the partitions are shared out: no rebalance is under way."""
        return self.state not in {"preparing_rebalancing", "completing_rebalancing", "unknown"}


@dataclass(frozen=True, slots=True)
class PartitionOffsets:
    """Offsets of a partition: the group's committed one (None: none), and the end."""

    partition: int
    committed: int | None
    end: int

    @property
    def lag(self) -> int:
        """The records behind the end; the mark of the last transaction is none."""
        return max(0, self.end - (self.committed or 0) - 1)


class GroupInspector:
    """Describes one consumer group of one topic; the connection is kept."""

    def __init__(self, kafka: KafkaConnection, consumer_group: str, topic: str) -> None:
        """Take Kafka's address, the group's id and the topic that it reads."""
        self._kafka, self._group, self._topic = kafka, consumer_group, topic
        self._right = f"Describe on group {consumer_group}"
        self._cluster = KafkaAdmin(kafka)
        self._admin = self._cluster.client
        # It never joins the group. The administrator's own request for committed offsets ends the
        # process (librdkafka 2.16) where the group's coordinator is just starting or moving.
        self._consumer = Consumer(
            kafka.client_config(
                {
                    "group.id": consumer_group,
                    "enable.auto.commit": False,
                    "isolation.level": "read_uncommitted",  # do not wait for pending transactions
                }
            )
        )

    def metadata(self) -> tuple[int, set[str]]:
        """Return the number of brokers, and the names of the topics that exist.

        Raises:
            BadSetting: the protocol or a certificate does not fit the broker's.
            NotAuthorized: Kafka refuses user and password.
            Unavailable: Kafka does not answer.
        """
        found = self._cluster.metadata(REQUEST_S)
        return len(found.brokers), set(found.topics)

    def describe(self) -> GroupDescription:
        """Return the group's state and members; a group that never was has none.

        Raises:
            Unavailable: Kafka does not answer.
        """
        futures = self._admin.describe_consumer_groups([self._group], request_timeout=REQUEST_S)
        with translate_errors(self._kafka, f"describing group {self._group}", self._right):
            found: ConsumerGroupDescription = futures[self._group].result()
        members = tuple(map(self._to_member, found.members or ()))
        return GroupDescription(found.state.name.lower(), members)

    def offsets(self, partitions: int) -> list[PartitionOffsets]:
        """Return the group's committed offsets beside the ends of the partitions.

        Raises:
            Unavailable: Kafka does not answer.
        """
        committed = self._committed(partitions)
        return [
            PartitionOffsets(partition, committed.get(partition), end)
            for partition, end in enumerate(self.ends(self._topic, partitions))
        ]

    def ends(self, topic: str, partitions: int) -> list[int]:
        """Return the offset after the last committed record of each partition of a topic.

        Raises:
            Unavailable: Kafka does not answer.
        """
        latest = {
            TopicPartition(topic, partition): OffsetSpec.latest()  # type: ignore[no-untyped-call]
            for partition in range(partitions)
        }
        futures = self._admin.list_offsets(
            latest, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=REQUEST_S
        )
        with translate_errors(
            self._kafka, f"reading the ends of {topic}", f"Describe on topic {topic}"
        ):
            return [int(future.result().offset) for future in futures.values()]

    def _committed(self, partitions: int) -> dict[int, int]:
        places = [TopicPartition(self._topic, partition) for partition in range(partitions)]
        with translate_errors(self._kafka, f"reading the offsets of {self._group}", self._right):
            found = self._consumer.committed(places, timeout=REQUEST_S)
        return {place.partition: place.offset for place in found if place.offset >= 0}

    def _to_member(self, member: MemberDescription) -> GroupMemberDescription:
        assigned = member.assignment.topic_partitions
        partitions = sorted(place.partition for place in assigned if place.topic == self._topic)
        return GroupMemberDescription(member.member_id, member.host.lstrip("/"), tuple(partitions))
