"""What Kafka tells: brokers, topics, the consumer group, and what waits to be predicted."""

from collections.abc import Iterable
from typing import Final

from services.dashboard.cluster.facts import KafkaFacts, PartitionFacts, ReplicaFacts
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.group_inspector import (
    GroupDescription,
    GroupInspector,
    GroupMemberDescription,
    PartitionOffsets,
)
from shared.adapters.kafka.reader import Reader
from shared.core.errors import UlstmError, Unavailable
from shared.core.topics import Topics
from shared.log.control_topic import ControlTopic

_LONGEST_ID: Final = 8  # characters of a member's id that are shown
_BEHIND: Final = 20  # records: a group that is less behind is not looked at closer


class KafkaInspection:
    """Asks Kafka everything that the health page has of it."""

    def __init__(self, kafka: KafkaConnection, topics: Topics, consumer_group: str) -> None:
        """Take Kafka's address, the deployment's topics and the predictors' group."""
        self._kafka, self._topics = kafka, topics
        self._inspector = GroupInspector(kafka, consumer_group, topics.klines)
        self._control = ControlTopic(kafka, topics, "dashboard")  # it is only read

    def read(self) -> KafkaFacts:
        """Return what Kafka tells, and why it does not if it does not."""
        try:
            brokers, found = self._inspector.metadata()
            missing = [name for name in self._topics.specifications() if name not in found]
            if missing:
                return KafkaFacts(brokers=brokers, missing_topics=missing)
            offsets = self._inspector.offsets(self._topics.partitions)
            dead_letters = sum(self._inspector.ends(self._topics.dead_letters, 1))
            bans = self._control.refresh().bans.values()
            group = self._describe()
        except UlstmError as error:
            return KafkaFacts(error=str(error))
        return KafkaFacts(
            brokers=brokers,
            group_state=None if group is None else group.state,
            replicas=None if group is None else [_to_replica(one) for one in group.members],
            partitions=self._look_closer(offsets),
            dead_letters=dead_letters,
            banned_until_ms=max(bans, default=None),
        )

    def _describe(self) -> GroupDescription | None:
        """Return the consumer group; None while its coordinator does not answer."""
        try:
            return self._inspector.describe()
        except Unavailable:
            return None

    def _look_closer(self, offsets: Iterable[PartitionOffsets]) -> list[PartitionFacts]:
        """Find the oldest record that waits in each symbol group that is behind."""
        facts = []
        for one in offsets:
            oldest_ms = self._time_of(one) if one.lag > _BEHIND else None
            facts.append(PartitionFacts(one.partition, one.committed, one.end, one.lag, oldest_ms))
        return facts

    def _time_of(self, offsets: PartitionOffsets) -> int | None:
        start = offsets.committed or 0
        try:
            with Reader(self._kafka, self._topics.klines) as reader:
                for block in reader.read(offsets.partition, start, start + _BEHIND):
                    return block[0].timestamp_ms
        except Unavailable:
            return None
        return None


def _to_replica(member: GroupMemberDescription) -> ReplicaFacts:
    short = member.member_id.removeprefix("rdkafka-")[:_LONGEST_ID]
    return ReplicaFacts(short, member.host, member.partitions)
