"""The interface of the conformance tests: clients of a real Kafka, or of the broker model."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from shared.adapters.kafka.group_settings import GroupProtocol, GroupSettings
from tests.conformance.member import RecordingMember

SESSION_S: Final = 6.0  # the shortest session time-out that the broker accepts
TRANSACTION_S: Final = 10.0
WAIT_S: Final = 30.0
_POLL_S: Final = 0.05
# As the clients in shared/adapters/kafka, but with shorter waits, so that tests are fast.
PRODUCER: Final[Mapping[str, Any]] = {
    "transaction.timeout.ms": int(TRANSACTION_S * 1000),
    "linger.ms": 0,
    "error_cb": lambda _: None,
}
CONSUMER: Final[Mapping[str, Any]] = {
    "enable.auto.commit": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 10,
    "max.poll.interval.ms": 60_000,
}


class ClientHarness(ABC):
    """Create topics and clients, and let time pass."""

    def __init__(self, protocol: GroupProtocol = "classic") -> None:
        self.protocol = protocol
        group = GroupSettings(protocol, int(SESSION_S * 1000), heartbeat_interval_ms=200)
        self.consumer_config = {**CONSUMER, **group.client_config()}
        levels = ("read_committed", "read_uncommitted")
        self._admin_consumers = {level: self.consumer(isolation_level=level) for level in levels}
        self._publisher = self.producer()

    @abstractmethod
    def topic(self, partitions: int = 1) -> str:
        """Return the name of a new topic."""

    @abstractmethod
    def new_name(self) -> str:
        """Return a name that is not used yet."""

    @abstractmethod
    def new_producer(self, name: str, **config: Any) -> Producer:
        """Return a producer before `init_transactions`; settings are named with _ for each dot."""

    @abstractmethod
    def consumer(self, group: str | None = None, **config: Any) -> Consumer: ...

    @abstractmethod
    def close(self, client: Producer | Consumer) -> None:
        """Close a client before the end of the test."""

    @abstractmethod
    def vanishing_member(
        self, group: str, topic: str
    ) -> tuple[RecordingMember, Callable[[], None]]:
        """Return a member and a function that kills its process: it sends nothing more."""

    @abstractmethod
    def sleeping_member(
        self, group: str, topic: str
    ) -> tuple[RecordingMember, Callable[[], None], Callable[[], None]]:
        """Return a member, and functions that suspend and resume its process."""

    @abstractmethod
    def until(self, condition: Callable[[], object], deadline_s: float = WAIT_S) -> None:
        """Let time pass until the condition is true.

        Raises:
            TimeoutError: it is still false at the deadline.
        """

    @abstractmethod
    def pass_time(self, seconds: float) -> None: ...

    @abstractmethod
    def keep_clients(self) -> None:
        """Exempt the clients made so far from `close_clients`."""

    @abstractmethod
    def close_clients(self) -> None:
        """Close the clients of the test that ends."""

    @abstractmethod
    def close_all(self) -> None: ...

    # --- producers --------------------------------------------------------------------------------

    def producer(self, name: str | None = None, **config: Any) -> Producer:
        """Return a producer after `init_transactions`."""
        producer = self.new_producer(name or self.new_name(), **config)
        producer.init_transactions(WAIT_S)
        return producer

    def write(self, producer: Producer, topic: str, *values: str, partition: int = 0) -> None:
        """Write records in the open transaction, and wait until they are in the log."""
        for value in values:
            producer.produce(topic, value=value.encode(), partition=partition)
        producer.flush(WAIT_S)

    def publish(self, topic: str, *values: str, partition: int = 0) -> None:
        """Write records in a transaction, and wait until they can be read."""
        self._publisher.begin_transaction()
        self.write(self._publisher, topic, *values, partition=partition)
        self._publisher.commit_transaction()
        self.await_settled(topic, partition)

    # --- reading ----------------------------------------------------------------------------------

    def read(self, topic: str, partition: int = 0, start: int = 0, **config: Any) -> list[Message]:
        """Return the messages from an offset on; the last one reports the end of the partition."""
        consumer = self.consumer(**config)
        consumer.assign([TopicPartition(topic, partition, start)])
        found = self.poll_until(
            consumer, lambda messages: any(is_partition_end(m) for m in messages)
        )
        self.close(consumer)
        return found

    def values(self, topic: str, partition: int = 0, **config: Any) -> list[str]:
        """Return the values that a reader sees (default: `read_committed`)."""
        return [text(message) for message in self.read(topic, partition, **config)[:-1]]

    def poll_until(
        self, consumer: Consumer, is_enough: Callable[[list[Message]], object]
    ) -> list[Message]:
        """Poll until the messages received are enough; return them."""
        found: list[Message] = []

        def condition() -> object:
            message = consumer.poll(_POLL_S)
            if message is not None:
                found.append(message)
            return is_enough(found)

        self.until(condition)
        return found

    def stays_silent(self, consumer: Consumer, for_s: float = 0.3) -> bool:
        """Tell whether a consumer receives nothing but ends of partitions."""
        found = [consumer.poll(_POLL_S) for _ in range(round(for_s / _POLL_S))]
        return all(message is None or is_partition_end(message) for message in found)

    def ends(
        self, topic: str, partition: int = 0, isolation_level: str = "read_committed"
    ) -> tuple[int, int]:
        """Return the first offset and the one after the last, at an isolation level."""
        place = TopicPartition(topic, partition)
        first, end = self._admin_consumers[isolation_level].get_watermark_offsets(
            place, timeout=WAIT_S
        )
        return first, end

    def await_settled(self, topic: str, partition: int = 0) -> None:
        """Wait until no transaction is open in a partition.

        Needed after a commit too: Kafka answers it before it writes the commit markers.
        """
        self.until(
            lambda: self.ends(topic, partition) == self.ends(topic, partition, "read_uncommitted")
        )

    # --- groups -----------------------------------------------------------------------------------

    def member(self, group: str, topic: str, **config: Any) -> RecordingMember:
        """Return a member that has subscribed and not polled yet."""
        return RecordingMember(self.consumer(group, **config), topic)

    def join(
        self, group: str, topic: str, *others: RecordingMember, **config: Any
    ) -> RecordingMember:
        """Return a new member, once it and the others have partitions of the topic."""
        member = self.member(group, topic, **config)
        self.await_rebalanced(topic, member, *others)
        return member

    def await_rebalanced(self, topic: str, *members: RecordingMember) -> None:
        """Let members poll until all partitions are assigned in one generation."""
        partitions = self.partitions(topic)

        def condition() -> bool:
            held = [partition for member in members for partition in member.assignment()]
            assert len(held) == len(set(held)), f"two members have a partition: {held}"
            known = {member.generation() for member in members}
            return (
                len(held) == partitions
                and len(known) == 1
                and (len(members) > partitions or all_have_partitions(members))
            )

        self.poll(*members, until=condition)

    def poll(
        self, *members: RecordingMember, until: Callable[[], object], deadline_s: float = WAIT_S
    ) -> None:
        """Let members poll until the condition is true."""

        def condition() -> object:
            for member in members:
                member.poll()
            return until()

        self.until(condition, deadline_s)

    def partitions(self, topic: str) -> int:
        return len(
            self._admin_consumers["read_committed"]
            .list_topics(topic, timeout=WAIT_S)
            .topics[topic]
            .partitions
        )

    def committed(
        self, group: str, topic: str, partition: int = 0, wait_s: float = WAIT_S, **config: Any
    ) -> int:
        """Return a consumer group's committed offset; negative if there is none."""
        consumer = self.consumer(group, **config)
        (found,) = consumer.committed([TopicPartition(topic, partition)], timeout=wait_s)
        self.close(consumer)
        return int(found.offset)

    def commit(self, topic: str, offset: int, membership: bytes, partition: int = 0) -> None:
        """Commit an offset in a transaction of its own."""
        self._publisher.begin_transaction()
        self._publisher.send_offsets_to_transaction(
            [TopicPartition(topic, partition, offset)], membership
        )
        self._publisher.commit_transaction()

    def no_membership(self, group: str) -> bytes:
        """Return the membership of a client that never joined: no generation, no member."""
        return bytes(self.consumer(group).consumer_group_metadata())


def dotted(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under the names of librdkafka."""
    return {name.replace("_", "."): value for name, value in config.items()}


def all_have_partitions(members: tuple[RecordingMember, ...]) -> bool:
    return all(member.assignment() for member in members)


def is_partition_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def text(message: Message) -> str:
    assert message.error() is None, message.error()
    value = message.value()
    assert value is not None
    return value.decode()


def error_of(call: Callable[[], object]) -> tuple[str, str]:
    """Return the error that a call raises, as `describe_error` gives it."""
    with pytest.raises(KafkaException) as caught:
        call()
    return describe_error(caught.value.args[0])


def describe_error(error: KafkaError | None) -> tuple[str, str]:
    """Return the name of an error and its flags: fatal, abortable, retriable or plain."""
    assert error is not None
    flags = {
        "fatal": error.fatal(),
        "abortable": error.txn_requires_abort(),
        "retriable": error.retriable(),
    }
    return error.name(), " and ".join(flag for flag, is_set in flags.items() if is_set) or "plain"
