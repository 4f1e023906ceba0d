"""A member of a consumer group."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import (
    is_denial,
    is_transient,
    to_app_error,
    to_denial,
    translate_errors,
)
from shared.adapters.kafka.group_settings import GroupSettings
from shared.adapters.kafka.reader import ConsumerRecord, poll_batch, to_consumer_record
from shared.adapters.logs import Outage
from shared.core.errors import Incompatible

log = logging.getLogger(__name__)

# A look at the committed offset: it waits for a pending transaction, and the other partitions wait
# with it, so it is repeated instead of long.
COMMITTED_S: Final = 2.0
FIRST_OFFSET_S: Final = 2.0  # this request is made within `poll`, which must not take long
_MEMBERSHIP_FORMAT: Final = b"CGMDv2:"


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one poll, and the group membership at that moment.

    `membership` is None if this client was no member then: offsets without a membership are not
    fenced by the broker, so they must not be sent.
    """

    records: Sequence[ConsumerRecord]
    membership: bytes | None


class ConsumerGroupMember:
    """A consumer that shares a topic's partitions with the other members of its group."""

    def __init__(
        self,
        kafka: KafkaConnection,
        consumer_group: str,
        topic: str,
        settings: GroupSettings,
        *,
        client: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        """Create the consumer; `subscribe` joins the group.

        Args:
            kafka: how Kafka is reached.
            consumer_group: the group's id.
            topic: the topic to share.
            settings: the group's protocol and times.
            client: makes a consumer of its configuration.
        """
        self._kafka, self._group, self._topic = kafka, consumer_group, topic
        self._protocol = settings.protocol
        self._refusal = Outage(log)
        self._consumer = client(
            kafka.client_config(
                {
                    "group.id": consumer_group,
                    "enable.auto.commit": False,
                    # Lost offsets must not start a second reading of the log: recovery decides.
                    "auto.offset.reset": "error",
                    # Also makes `committed` wait for pending transactions.
                    "isolation.level": "read_committed",
                    **settings.client_config(),
                    "max.poll.interval.ms": 60_000,
                    # A partition that was taken over is not in the request that waits meanwhile.
                    "fetch.wait.max.ms": 100,
                    "topic.metadata.refresh.interval.ms": 30_000,
                    "error_cb": self._on_client_error,
                }
            )
        )

    def subscribe(
        self, on_assigned: Callable[[list[int]], None], on_revoked: Callable[[list[int]], None]
    ) -> None:
        """Join the group. The callbacks take partitions and run inside `poll` only."""

        def assign(consumer: Consumer, places: list[TopicPartition]) -> None:
            # 1. Give each partition an offset that exists: "auto.offset.reset=error" would make
            #    an assignment without one fail.
            for place in places:
                place.offset = _first_offset(consumer, place)
            consumer.incremental_assign(places)
            # 2. Pause before the first fetch: only recovery knows the offset to read from.
            consumer.pause(places)
            # 3. `resume` seeks there once the state is restored.
            on_assigned([place.partition for place in places])

        def revoke(consumer: Consumer, places: list[TopicPartition]) -> None:
            # The state is dropped first: after the unassignment another member may write.
            on_revoked([place.partition for place in places])
            consumer.incremental_unassign(places)

        self._consumer.subscribe([self._topic], on_assign=assign, on_revoke=revoke, on_lost=revoke)

    def poll(self, max_records: int, timeout_s: float) -> Batch | None:
        """Return the next records, or None if there are none.

        Raises:
            Unavailable: the broker reports an error that it does not recover from by itself.
            Incompatible: the broker lacks the group protocol, or refuses this member for good.
        """
        messages = poll_batch(self._consumer, max_records, timeout_s)
        # Take the membership with the records. Asked for at the commit, it could be that of a
        # later generation, in which another member has these partitions: the broker would then
        # accept offsets that it has to refuse.
        membership = self.membership()
        records = [to_consumer_record(m) for m in messages if self._is_record(m)]
        if not records:
            return None
        self._refusal.end("Kafka lets this member in")
        return Batch(records, membership if is_member(membership) else None)

    def membership(self) -> bytes:
        """Return the group membership as the client has it now."""
        return bytes(self._consumer.consumer_group_metadata())

    def is_member(self) -> bool:
        """Return whether the group counts this client as a member, as far as the client knows."""
        return is_member(self.membership())

    def committed(self, partition: int) -> int | None:
        """Return the group's committed offset, after waiting for a pending transaction on it.

        Raises:
            Unavailable: Kafka does not answer, or the transaction stays open.
        """
        place = TopicPartition(self._topic, partition)
        with translate_errors(self._kafka, "reading the committed offset"):
            offset = self._consumer.committed([place], timeout=COMMITTED_S)[0].offset
        return int(offset) if offset >= 0 else None

    def end_offset(self, partition: int) -> int | None:
        """Return the offset after a partition's newest record, as heard with the last fetch.

        Asks nobody; None if nothing was fetched yet.
        """
        place = TopicPartition(self._topic, partition)
        try:
            end = self._consumer.get_watermark_offsets(place, cached=True)[1]
        except KafkaException:
            return None
        return int(end) if end >= 0 else None

    def resume(self, partition: int, offset: int) -> None:
        """Fetch a partition's records from an offset on.

        Raises:
            Unavailable: the client refuses.
        """
        place = TopicPartition(self._topic, partition, offset)
        with translate_errors(self._kafka, f"seeking {self._topic}/{partition}"):
            self._consumer.seek(place)
            self._consumer.resume([place])

    def pause(self, partition: int) -> None:
        """Fetch nothing of a partition until `resume`.

        Raises:
            Unavailable: the client refuses.
        """
        with translate_errors(self._kafka, f"pausing {self._topic}/{partition}"):
            self._consumer.pause([TopicPartition(self._topic, partition)])

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _on_client_error(self, error: KafkaError) -> None:
        # One broker of several may refuse a user, or each may for a moment: the client tries again.
        if is_denial(error.code()):
            denial = to_denial(error, self._kafka, f"reading {self._topic}", "")
            self._refusal.report("%s", denial)

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        code = error.code()
        # After a pause longer than max.poll.interval.ms the client reports it, then revokes.
        if code == KafkaError._MAX_POLL_EXCEEDED or error.retriable() or is_transient(code):
            return False
        if code == KafkaError._FATAL:
            raise Incompatible(self._describe_fatal(error))
        is_group = code == KafkaError.GROUP_AUTHORIZATION_FAILED
        right = f"Read on {f'group {self._group}' if is_group else f'topic {self._topic}'}"
        raise to_app_error(KafkaException(error), self._kafka, f"reading {self._topic}", right)

    def _describe_fatal(self, error: KafkaError) -> str:
        text = f"the consumer group on {self._topic}: Kafka at {self._kafka} says {error.str()}"
        if self._protocol == "classic":
            return text
        return (
            f"{text}; GROUP_PROTOCOL=consumer needs Kafka 4.0 or later with the feature"
            " group.version=1: upgrade it, or set GROUP_PROTOCOL=classic"
        )


def _first_offset(consumer: Consumer, place: TopicPartition) -> int:
    """Return a partition's first offset, or 0 if Kafka does not answer: it is paused anyway."""
    try:
        return int(consumer.get_watermark_offsets(place, timeout=FIRST_OFFSET_S)[0])
    except KafkaException:
        return 0


def is_member(membership: bytes) -> bool:
    """Say whether a membership names a generation and a member.

    Generations begin at 1: in the protocol `consumer` a member that is joining, for the first time
    or again, has its name already and the generation 0.

    librdkafka's format: a mark, the generation as int32, the group, NUL, the member, NUL.

    Raises:
        Incompatible: the client writes another format.
    """
    if not membership.startswith(_MEMBERSHIP_FORMAT):
        raise Incompatible(
            f"confluent-kafka writes group memberships as {membership[:8]!r}:"
            " install the locked version"
        )
    start = len(_MEMBERSHIP_FORMAT)
    generation = int.from_bytes(membership[start : start + 4], sys.byteorder, signed=True)
    member = membership[start + 4 :].split(bytes(1))[1]
    return generation > 0 and member != b""
