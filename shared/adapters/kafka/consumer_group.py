"""Reading as a member of a consumer group."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from shared.adapters.kafka.errors import is_transient, to_app_error
from shared.adapters.kafka.reader import ConsumerRecord, poll_batch, to_consumer_record
from shared.core.errors import Incompatible

ANSWER_S: Final = 30.0
FIRST_OFFSET_S: Final = 2.0  # asked for within the poll, which must not take long
_MEMBERSHIP: Final = b"CGMDv2:"


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one poll, and the group membership at that moment: never asked for later, it may have changed.

    None: this client was no member then. Offsets sent without a membership are not fenced, so they must not be sent.
    """

    records: Sequence[ConsumerRecord]
    membership: bytes | None


class ConsumerGroupMember:
    """A member of a group that shares a topic's partitions."""

    def __init__(
        self,
        bootstrap: str,
        group: str,
        topic: str,
        session_timeout_ms: int,
        *,
        client: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        """Prepare; `subscribe` joins. A client is made from its configuration."""
        self._bootstrap, self._topic = bootstrap, topic
        self._consumer = client(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",  # also makes committed() wait for pending transactions
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": session_timeout_ms,
                "heartbeat.interval.ms": session_timeout_ms // 4,
                "max.poll.interval.ms": 60_000,
                "topic.metadata.refresh.interval.ms": 30_000,
                "log_level": 0,
            }
        )

    def subscribe(
        self, on_assign: Callable[[list[int]], None], on_lose: Callable[[list[int]], None]
    ) -> None:
        """Join the group. The callbacks get partitions and run inside `poll` only."""

        def assigned(consumer: Consumer, places: list[TopicPartition]) -> None:
            # Paused from the first moment: recovery says where to read on. What is asked for before must be there.
            for place in places:
                place.offset = _first_offset(consumer, place)
            consumer.incremental_assign(places)
            consumer.pause(places)
            on_assign([place.partition for place in places])

        def lost(consumer: Consumer, places: list[TopicPartition]) -> None:
            on_lose([place.partition for place in places])
            consumer.incremental_unassign(places)

        self._consumer.subscribe([self._topic], on_assign=assigned, on_revoke=lost, on_lost=lost)

    def poll(self, most: int, timeout_s: float) -> Batch | None:
        """Return the next records, or None if there are none.

        Raises:
            Unavailable: the broker says what cannot be mended by waiting for it.
        """
        messages = poll_batch(self._consumer, most, timeout_s)
        membership = self.membership()
        records = [to_consumer_record(m) for m in messages if self._is_record(m)]
        return Batch(records, membership if is_member(membership) else None) if records else None

    def membership(self) -> bytes:
        """Return the group membership as the client has it now."""
        return bytes(self._consumer.consumer_group_metadata())

    def committed(self, partition: int) -> int | None:
        """Return the group's committed offset, waiting while a transaction on it is pending."""
        place = TopicPartition(self._topic, partition)
        try:
            found = self._consumer.committed([place], timeout=ANSWER_S)[0]
        except KafkaException as error:
            raise to_app_error(error, self._bootstrap, "asking for the committed offset") from error
        return int(found.offset) if found.offset >= 0 else None

    def resume(self, partition: int, offset: int) -> None:
        """Read this partition from an offset on."""
        place = TopicPartition(self._topic, partition, offset)
        try:
            self._consumer.seek(place)
            self._consumer.resume([place])
        except KafkaException as error:
            raise to_app_error(
                error, self._bootstrap, f"seeking {self._topic}/{partition}"
            ) from error

    def pause(self, partition: int) -> None:
        """Read nothing of this partition until `resume`."""
        try:
            self._consumer.pause([TopicPartition(self._topic, partition)])
        except KafkaException as error:
            raise to_app_error(
                error, self._bootstrap, f"pausing {self._topic}/{partition}"
            ) from error

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _is_record(self, message: Message) -> bool:
        fault = message.error()
        if fault is None:
            return True
        code = fault.code()
        # After a pause longer than max.poll.interval.ms the client says so, then takes the partitions away.
        if code == KafkaError._MAX_POLL_EXCEEDED or fault.retriable() or is_transient(code):
            return False
        raise to_app_error(KafkaException(fault), self._bootstrap, f"reading {self._topic}")


def _first_offset(consumer: Consumer, place: TopicPartition) -> int:
    """Return where a partition begins, or 0 if Kafka does not answer: then nothing is read of it either."""
    try:
        return int(consumer.get_watermark_offsets(place, timeout=FIRST_OFFSET_S)[0])
    except KafkaException:
        return 0


def is_member(membership: bytes) -> bool:
    """Say whether a membership names a generation and a member.

    librdkafka's format: a mark, the generation as int32, the group, NUL, the member, NUL.

    Raises:
        Incompatible: the client writes it in a format that is not known here.
    """
    if not membership.startswith(_MEMBERSHIP):
        message = f"confluent-kafka writes group memberships as {membership[:8]!r}: install the version that is locked"
        raise Incompatible(message)
    start = len(_MEMBERSHIP)
    generation = int.from_bytes(membership[start : start + 4], sys.byteorder, signed=True)
    member = membership[start + 4 :].split(bytes(1))[1]
    return generation >= 0 and member != b""
