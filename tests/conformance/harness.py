"""What the conformance tests are written with: one kit makes clients of a real Kafka, one of the broker model."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from tests.conformance.member import GroupMember

SESSION_S: Final = 6.0  # the shortest that the broker of the tests lets a member have
TRANSACTION_S: Final = 10.0
WAIT_S: Final = 30.0
_POLL_S: Final = 0.05
# Like our adapters' clients (shared/adapters/kafka), but quicker to hear of things.
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
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": int(SESSION_S * 1000),
    "heartbeat.interval.ms": 200,
    "max.poll.interval.ms": 60_000,
}


class Kit(ABC):
    """Topics, clients and time."""

    def __init__(self) -> None:
        levels = ("read_committed", "read_uncommitted")
        self._asking = {level: self.consumer(isolation_level=level) for level in levels}
        self._publisher = self.producer()

    @abstractmethod
    def topic(self, partitions: int = 1) -> str:
        """Return the name of a new topic."""

    @abstractmethod
    def new_name(self) -> str:
        """Return a name for a group or a transactional id."""

    @abstractmethod
    def idle_producer(self, name: str, **config: Any) -> Producer:
        """Return a producer that has not taken its transactional id yet; a config name has _ for each dot."""

    @abstractmethod
    def consumer(self, group: str | None = None, **config: Any) -> Consumer: ...

    @abstractmethod
    def close(self, client: Producer | Consumer) -> None:
        """Close a client before the end of the test."""

    @abstractmethod
    def vanishing_member(self, group: str, topic: str) -> tuple[GroupMember, Callable[[], None]]:
        """Return a member and what lets its process die: it says nothing any more, not even good-bye."""

    @abstractmethod
    def sleeping_member(
        self, group: str, topic: str
    ) -> tuple[GroupMember, Callable[[], None], Callable[[], None]]:
        """Return a member, what stops its process, and what lets that go on."""

    @abstractmethod
    def until(self, happened: Callable[[], object], deadline_s: float = WAIT_S) -> None:
        """Let time pass until it happened; fail the test at the deadline."""

    @abstractmethod
    def pass_time(self, seconds: float) -> None: ...

    @abstractmethod
    def keep(self) -> None:
        """Let the clients that were made since the last `tidy` live until the end."""

    @abstractmethod
    def tidy(self) -> None:
        """Close the clients that a test has made."""

    @abstractmethod
    def end(self) -> None: ...

    # --- producers --------------------------------------------------------------------------------

    def producer(self, name: str | None = None, **config: Any) -> Producer:
        """Return a producer that has its transactional id."""
        producer = self.idle_producer(name or self.new_name(), **config)
        producer.init_transactions(WAIT_S)
        return producer

    def write(self, producer: Producer, topic: str, *values: str, partition: int = 0) -> None:
        """Write records in the transaction that is open, and wait until they are in the log."""
        for value in values:
            producer.produce(topic, value=value.encode(), partition=partition)
        producer.flush(WAIT_S)

    def publish(self, topic: str, *values: str, partition: int = 0) -> None:
        """Write records and commit them, in a transaction of their own; return once they can be read."""
        self._publisher.begin_transaction()
        self.write(self._publisher, topic, *values, partition=partition)
        self._publisher.commit_transaction()
        self.settle(topic, partition)

    # --- reading ----------------------------------------------------------------------------------

    def read(self, topic: str, partition: int = 0, start: int = 0, **config: Any) -> list[Message]:
        """Return the records from an offset to the end, the event of the end being the last."""
        consumer = self.consumer(**config)
        consumer.assign([TopicPartition(topic, partition, start)])
        found = self.polled(consumer, lambda messages: any(is_end(m) for m in messages))
        self.close(consumer)
        return found

    def values(self, topic: str, partition: int = 0, **config: Any) -> list[str]:
        """Return the values of the records that a reader sees, `read_committed` unless told otherwise."""
        return [text(message) for message in self.read(topic, partition, **config)[:-1]]

    def polled(
        self, consumer: Consumer, enough: Callable[[list[Message]], object]
    ) -> list[Message]:
        """Poll until there is enough; return messages and events."""
        found: list[Message] = []

        def happened() -> object:
            message = consumer.poll(_POLL_S)
            if message is not None:
                found.append(message)
            return enough(found)

        self.until(happened)
        return found

    def nothing_comes(self, consumer: Consumer, for_s: float = 0.3) -> bool:
        """Whether a consumer stays silent, beyond what it knew already that its partitions end."""
        found = [consumer.poll(_POLL_S) for _ in range(round(for_s / _POLL_S))]
        return all(message is None or is_end(message) for message in found)

    def ends(
        self, topic: str, partition: int = 0, isolation_level: str = "read_committed"
    ) -> tuple[int, int]:
        """Return the first offset and the one after the last, as a reader of this kind is told."""
        place = TopicPartition(topic, partition)
        first, end = self._asking[isolation_level].get_watermark_offsets(place, timeout=WAIT_S)
        return first, end

    def settle(self, topic: str, partition: int = 0) -> None:
        """Wait until no transaction is open in a partition: a commit is answered before its marker is written."""
        self.until(
            lambda: self.ends(topic, partition) == self.ends(topic, partition, "read_uncommitted")
        )

    # --- groups -----------------------------------------------------------------------------------

    def member(self, group: str, topic: str, **config: Any) -> GroupMember:
        """Return a member that has just subscribed."""
        return GroupMember(self.consumer(group, **config), topic)

    def joined(self, group: str, topic: str, *others: GroupMember, **config: Any) -> GroupMember:
        """Return a member that shares a topic with the others, once all of them have their share."""
        member = self.member(group, topic, **config)
        self.share(topic, member, *others)
        return member

    def share(self, topic: str, *members: GroupMember) -> None:
        """Let members poll until together they hold all of a topic, and know the same generation."""
        partitions = self.partitions(topic)

        def happened() -> bool:
            held = [partition for member in members for partition in member.held()]
            assert len(held) == len(set(held)), f"two members hold a partition: {held}"
            known = {member.generation() for member in members}
            return (
                len(held) == partitions
                and len(known) == 1
                and (len(members) > partitions or all_hold(members))
            )

        self.poll(*members, until=happened)

    def poll(
        self, *members: GroupMember, until: Callable[[], object], deadline_s: float = WAIT_S
    ) -> None:
        """Let members poll until it happened."""

        def happened() -> object:
            for member in members:
                member.poll()
            return until()

        self.until(happened, deadline_s)

    def partitions(self, topic: str) -> int:
        return len(
            self._asking["read_committed"]
            .list_topics(topic, timeout=WAIT_S)
            .topics[topic]
            .partitions
        )

    def committed(
        self, group: str, topic: str, partition: int = 0, wait_s: float = WAIT_S, **config: Any
    ) -> int:
        """Return a group's committed offset; negative if there is none."""
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
        """The membership of a client that never joined: no generation and no member."""
        return bytes(self.consumer(group).consumer_group_metadata())


def dotted(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under the names that the client knows."""
    return {name.replace("_", "."): value for name, value in config.items()}


def all_hold(members: tuple[GroupMember, ...]) -> bool:
    return all(member.held() for member in members)


def is_end(message: Message) -> bool:
    fault = message.error()
    return fault is not None and fault.code() == KafkaError._PARTITION_EOF


def text(message: Message) -> str:
    assert message.error() is None, message.error()
    value = message.value()
    assert value is not None
    return value.decode()


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    """Return the code that a call is refused with, and what the client says about it."""
    with pytest.raises(KafkaException) as caught:
        call()
    return said(caught.value.args[0])


def said(fault: KafkaError | None) -> tuple[str, str]:
    assert fault is not None
    flags = {
        "fatal": fault.fatal(),
        "abortable": fault.txn_requires_abort(),
        "retriable": fault.retriable(),
    }
    return fault.name(), " and ".join(flag for flag, is_set in flags.items() if is_set) or "plain"
