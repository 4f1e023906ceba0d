"""A model of one Kafka broker: logs, transactions, consumer groups.

tests/conformance holds it to a real Kafka. It is harsher where that is cheap: a rebalance changes
the generation at once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final, NamedTuple

from confluent_kafka import KafkaError

from tests.simulation.clock import SimulatedClock

BROKER_SESSION_S: Final = 6.0  # of members that join by the protocol `consumer`
SCAN_S: Final = 1.0  # interval at which the broker aborts transactions that timed out
EPOCH_MS: Final = 1_790_000_000_000  # the time at which the simulated clock is 0

PartitionKey = tuple[str, int]  # topic, partition
Headers = Sequence[tuple[str, bytes]]


class BrokerError(Exception):
    """Raised when the broker answers with an error code."""

    def __init__(self, code: int) -> None:
        super().__init__(KafkaError(code).name())
        self.code = code


class RecordData(NamedTuple):
    """The content of a record."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Headers = ()


@dataclass(eq=False)
class Transaction:
    producer: "ProducerId"
    ends_s: float
    # Dicts keep their order, so that the same seed gives the same run.
    partitions: dict[PartitionKey, None] = field(default_factory=dict)
    groups: dict[str, None] = field(default_factory=dict)
    outcome: bool | None = None  # True: committed; decided before the markers are written
    markers_left: int = 0


@dataclass(eq=False)
class ProducerId:
    """A transactional id as the transaction coordinator keeps it."""

    number: int
    timeout_s: float
    epoch: int = 0
    open: Transaction | None = None
    last: Transaction | None = None
    timed_out: bool = False


@dataclass(eq=False)
class LogRecord:
    data: RecordData | None  # None: a control record
    transaction: Transaction | None
    time_ms: int


@dataclass(eq=False)
class Partition:
    entries: list[LogRecord] = field(default_factory=list)
    first: int = 0
    open: dict[Transaction, int] = field(default_factory=dict)  # -> offset of its first record
    committed: set[Transaction] = field(default_factory=set)
    sequences: dict[tuple[int, int], int] = field(default_factory=dict)  # (producer, epoch) -> next

    @property
    def high_watermark(self) -> int:
        return len(self.entries)

    @property
    def last_stable(self) -> int:
        return min(self.open.values(), default=len(self.entries))

    def visible(self, offset: int) -> RecordData | None:
        """Return the record at an offset if a `read_committed` reader sees it."""
        entry = self.entries[offset]
        seen = entry.transaction is None or entry.transaction in self.committed
        return entry.data if seen else None

    def first_at(self, time_ms: int, end: int) -> int | None:
        """Return the first offset of this time or later, control and aborted records included."""
        offsets = range(self.first, end)
        return next((offset for offset in offsets if self.entries[offset].time_ms >= time_ms), None)


@dataclass(eq=False)
class BrokerMember:
    number: int
    session_s: float
    poll_limit_s: float
    sends_heartbeats: Callable[[], bool]
    last_heartbeat_s: float
    last_poll_s: float
    client_name: str = ""  # in the protocol `consumer` a client chooses its own
    epoch: int = 0  # the same protocol: the generation up to which this member has followed
    assigned_in: dict[int, int] = field(default_factory=dict)  # partition -> generation
    owned: set[int] = field(default_factory=set)
    to_revoke: set[int] = field(default_factory=set)
    has_left: bool = False
    was_slow: bool = False  # removed because it did not poll
    was_refused: bool = False  # removed by the broker: the client forgets generation and name
    left_s: float = 0.0

    @property
    def name(self) -> str:
        return self.client_name or f"member-{self.number}"

    def may_commit(self, partition: int, generation: int) -> bool:
        """Tell whether offsets of the protocol `consumer` are taken.

        A partition that the member has kept through a rebalance is its own all the time.
        """
        return self.assigned_in.get(partition, self.epoch) <= generation <= self.epoch


@dataclass(eq=False)
class BrokerGroup:
    topic: str = ""
    is_classic: bool = True
    generation: int = 0
    members: list[BrokerMember] = field(default_factory=list)
    committed: dict[PartitionKey, int] = field(default_factory=dict)
    # Order in which committed offsets were sent: one that was sent earlier does not replace it.
    sent: dict[PartitionKey, int] = field(default_factory=dict)
    # Offset and order of sending, by transaction and partition.
    pending: dict[Transaction, dict[PartitionKey, tuple[int, int]]] = field(default_factory=dict)


def no_delay() -> float:
    return 0.0


class Broker:
    """Topics, transactions and groups of one broker."""

    def __init__(
        self, clock: SimulatedClock, marker_delay_s: Callable[[], float] = no_delay
    ) -> None:
        self.clock, self._marker_delay_s = clock, marker_delay_s
        self.topics: dict[str, list[Partition]] = {}
        self.groups: dict[str, BrokerGroup] = defaultdict(BrokerGroup)
        self._ids: dict[str, ProducerId] = {}
        self._numbers = count(1)

    # --- logs -------------------------------------------------------------------------------------

    def create(self, topic: str, partitions: int) -> None:
        self.topics[topic] = [Partition() for _ in range(partitions)]

    def partition(self, place: PartitionKey) -> Partition:
        topic, number = place
        if topic not in self.topics or number >= len(self.topics[topic]):
            raise BrokerError(KafkaError.UNKNOWN_TOPIC_OR_PART)
        return self.topics[topic][number]

    # --- transactions -----------------------------------------------------------------------------

    def init_producer(self, transactional_id: str, timeout_s: float) -> tuple[ProducerId, int]:
        """Give out the id with a new epoch: fence its producer and abort its transaction."""
        known = self._ids.get(transactional_id)
        if known is None:
            known = self._ids[transactional_id] = ProducerId(next(self._numbers), timeout_s)
            return known, known.epoch
        if known.open is not None and known.open.outcome is None:
            self._end_transaction(known.open, commit=False)
        self._write_markers_now(known)
        known.epoch += 1
        known.timeout_s, known.timed_out = timeout_s, False
        return known, known.epoch

    def produce(
        self,
        producer: ProducerId,
        epoch: int,
        place: PartitionKey,
        sequence: int,
        records: Sequence[RecordData],
    ) -> None:
        """Append records to an open transaction, unless a request appended them before."""
        self._check(producer, epoch)
        partition = self.partition(place)
        expected = partition.sequences.get((producer.number, epoch), 0)
        if sequence < expected:
            return
        if sequence > expected:
            raise BrokerError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
        transaction = producer.open
        if (
            transaction is None
            or transaction.outcome is not None
            or place not in transaction.partitions
        ):
            raise BrokerError(KafkaError.INVALID_TXN_STATE)
        partition.open.setdefault(transaction, partition.high_watermark)
        partition.entries += [LogRecord(data, transaction, data.timestamp_ms) for data in records]
        partition.sequences[producer.number, epoch] = expected + len(records)

    def add_partitions(
        self, producer: ProducerId, epoch: int, partitions: Iterable[PartitionKey]
    ) -> None:
        for place in partitions:
            self.partition(place)
        self._open_transaction(producer, epoch).partitions.update(dict.fromkeys(partitions))

    def add_group(self, producer: ProducerId, epoch: int, group: str) -> None:
        self._open_transaction(producer, epoch).groups[group] = None

    def commit_offsets(
        self,
        producer: ProducerId,
        epoch: int,
        group: str,
        offsets: Mapping[PartitionKey, int],
        generation: int,
        member: str,
    ) -> None:
        """Add offsets to the open transaction.

        Without generation and member nothing is checked; neither does Kafka.
        """
        self._check(producer, epoch)
        transaction = producer.open
        if (
            transaction is None
            or transaction.outcome is not None
            or group not in transaction.groups
        ):
            raise BrokerError(KafkaError.INVALID_TXN_STATE)
        group_state = self.groups[group]
        if generation >= 0 or member:
            known = next((m for m in group_state.members if m.name == member), None)
            if known is None:
                raise BrokerError(KafkaError.UNKNOWN_MEMBER_ID)
            is_current = (
                generation == group_state.generation
                if group_state.is_classic
                else all(known.may_commit(partition, generation) for _, partition in offsets)
            )
            if not is_current:
                raise BrokerError(KafkaError.ILLEGAL_GENERATION)
        number = next(self._numbers)
        group_state.pending.setdefault(transaction, {}).update(
            {place: (at, number) for place, at in offsets.items()}
        )

    def end_transaction(self, producer: ProducerId, epoch: int, *, commit: bool) -> None:
        """End the transaction that is open now; a repeated request gets the same answer."""
        self._check(producer, epoch)
        transaction = producer.open
        if transaction is not None and transaction.outcome is None:
            self._end_transaction(transaction, commit=commit)
            return
        settled = transaction or producer.last
        if settled is None or settled.outcome is not commit:
            raise BrokerError(KafkaError.INVALID_TXN_STATE)

    def _check(self, producer: ProducerId, epoch: int) -> None:
        if epoch != producer.epoch:
            raise BrokerError(KafkaError.INVALID_PRODUCER_EPOCH)

    def _open_transaction(self, producer: ProducerId, epoch: int) -> Transaction:
        self._check(producer, epoch)
        transaction = producer.open
        if transaction is None:
            transaction = producer.open = Transaction(
                producer, self.clock.now_s + producer.timeout_s
            )
            self.clock.at(transaction.ends_s + SCAN_S, lambda: self._time_out(transaction))
        elif transaction.outcome is not None:
            raise BrokerError(KafkaError.CONCURRENT_TRANSACTIONS)
        return transaction

    def _time_out(self, transaction: Transaction) -> None:
        if transaction.outcome is None:
            transaction.producer.epoch += 1
            transaction.producer.timed_out = True
            self._end_transaction(transaction, commit=False)

    def _end_transaction(self, transaction: Transaction, *, commit: bool) -> None:
        """Decide the outcome; partitions and groups get it by a marker each, perhaps later."""
        transaction.outcome = commit
        markers: list[Callable[[], None]] = [
            self._log_marker(transaction, place) for place in transaction.partitions
        ]
        markers += [self._group_marker(transaction, name) for name in transaction.groups]
        transaction.markers_left = len(markers)
        for marker in markers:
            delay_s = self._marker_delay_s()
            if delay_s > 0:
                self.clock.at(self.clock.now_s + delay_s, marker)
            else:
                marker()
        if not markers:
            self._complete(transaction)

    def _log_marker(self, transaction: Transaction, place: PartitionKey) -> Callable[[], None]:
        def write() -> None:
            partition = self.partition(place)
            partition.entries.append(
                LogRecord(None, transaction, EPOCH_MS + int(self.clock.now_s * 1000))
            )
            partition.open.pop(transaction, None)
            if transaction.outcome:
                partition.committed.add(transaction)
            self._marker_written(transaction)

        return self._once(write)

    def _group_marker(self, transaction: Transaction, name: str) -> Callable[[], None]:
        def write() -> None:
            group_state = self.groups[name]
            for place, (offset, number) in group_state.pending.pop(transaction, {}).items():
                if transaction.outcome and number > group_state.sent.get(place, 0):
                    group_state.committed[place], group_state.sent[place] = offset, number
            self._marker_written(transaction)

        return self._once(write)

    @staticmethod
    def _once(call: Callable[[], None]) -> Callable[[], None]:
        left = [call]

        def call_once() -> None:
            if left:
                left.pop()()

        return call_once

    def _marker_written(self, transaction: Transaction) -> None:
        transaction.markers_left -= 1
        if transaction.markers_left == 0:
            self._complete(transaction)

    @staticmethod
    def _complete(transaction: Transaction) -> None:
        transaction.producer.open, transaction.producer.last = None, transaction

    def _write_markers_now(self, producer: ProducerId) -> None:
        """Let time pass until all markers of the open transaction are written."""
        while producer.open is not None:
            self.clock.advance(0.05)

    # --- offsets ----------------------------------------------------------------------------------

    def committed(self, group: str, place: PartitionKey, *, stable: bool = True) -> int | None:
        """Return the committed offset.

        Raises:
            BrokerError: it must be stable, but a transaction on it is pending.
        """
        group_state = self.groups[group]
        if stable and any(place in offsets for offsets in group_state.pending.values()):
            raise BrokerError(KafkaError.UNSTABLE_OFFSET_COMMIT)
        return group_state.committed.get(place)

    # --- groups -----------------------------------------------------------------------------------

    def new_client_name(self) -> str:
        """Return a name for a client that joins by the protocol `consumer`."""
        return f"client-{next(self._numbers)}"

    def join(
        self,
        group: str,
        topic: str,
        session_s: float,
        poll_limit_s: float,
        sends_heartbeats: Callable[[], bool],
        client_name: str = "",
    ) -> BrokerMember:
        """Add a member; one that names itself joins by the protocol `consumer`."""
        now_s = self.clock.now_s
        member = BrokerMember(
            next(self._numbers),
            session_s,
            poll_limit_s,
            sends_heartbeats,
            now_s,
            now_s,
            client_name,
        )
        group_state = self.groups[group]
        group_state.topic, group_state.is_classic = topic, not client_name
        group_state.members.append(member)
        self._rebalance(group_state)
        self._check_liveness(group_state, member)
        return member

    def leave(self, group: str, member: BrokerMember) -> None:
        """Remove a member from its group."""
        group_state = self.groups[group]
        if member in group_state.members:
            group_state.members.remove(member)
            member.has_left = member.was_refused = True
            member.left_s = self.clock.now_s
            self._rebalance(group_state)

    def release_partitions(
        self, group: str, member: BrokerMember, partitions: Iterable[int]
    ) -> None:
        """Free partitions that a member has revoked, for their next owner."""
        member.owned -= set(partitions)
        member.to_revoke -= set(partitions)
        for partition in partitions:
            member.assigned_in.pop(partition, None)
        if self.groups[group].is_classic:
            self._rebalance(self.groups[group])
        else:
            self._share_out(self.groups[group])

    def _check_liveness(self, group: BrokerGroup, member: BrokerMember) -> None:
        """Remove a member that sends no heartbeats or does not poll; else check again later."""
        if member.has_left:
            return
        now_s = self.clock.now_s
        if member.sends_heartbeats():
            member.last_heartbeat_s = now_s
        is_silent = now_s - member.last_heartbeat_s >= member.session_s
        is_stalled = now_s - member.last_poll_s >= member.poll_limit_s
        if is_silent or is_stalled:
            group.members.remove(member)
            member.has_left, member.was_slow, member.left_s = True, not is_silent, now_s
            self._rebalance(group)
            return
        self.clock.at(now_s + 0.5, lambda: self._check_liveness(group, member))

    def _rebalance(self, group: BrokerGroup) -> None:
        group.generation += 1
        self._share_out(group)

    def _share_out(self, group: BrokerGroup) -> None:
        """Assign partitions: cooperative and sticky.

        Free partitions go to the members that have fewest; members with too many are asked to
        revoke some. A partition is free once its owner has revoked it or left.
        """
        partitions = set(range(len(self.topics.get(group.topic, []))))
        if not group.members:
            return
        fair, more = divmod(len(partitions), len(group.members))
        by_share = sorted(group.members, key=lambda m: (-len(m.owned), m.number))
        quota = {m: fair + (at < more) for at, m in enumerate(by_share)}
        free = sorted(partitions - {p for m in group.members for p in m.owned})
        for member in sorted(group.members, key=lambda m: (len(m.owned), m.number)):
            while free and len(member.owned) < quota[member]:
                member.owned.add(free[0])
                member.assigned_in[free.pop(0)] = group.generation
            member.to_revoke = set(sorted(member.owned)[quota[member] :])
            if not member.to_revoke:
                member.epoch = group.generation
