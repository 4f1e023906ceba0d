"""A model of one Kafka broker: logs, transactions, consumer groups. What it does is held to Kafka by tests/conformance.

It is harsher than Kafka where that costs nothing: a rebalance changes the generation at once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final, NamedTuple

from confluent_kafka import KafkaError

from tests.simulation.clock import SimulatedClock

SCAN_S: Final = 1.0  # how often the broker looks for transactions that are open for too long
EPOCH_MS: Final = 1_790_000_000_000  # the time of day when the clock stands at 0

Place = tuple[str, int]  # topic, partition
Headers = Sequence[tuple[str, bytes]]


class BrokerRefusal(Exception):
    """Raised when the broker answers with an error code."""

    def __init__(self, code: int) -> None:
        super().__init__(KafkaError(code).name())
        self.code = code


class Data(NamedTuple):
    """What a producer gives for a record."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Headers = ()


@dataclass(eq=False)
class Transaction:
    producer: "ProducerId"
    ends_s: float
    places: dict[Place, None] = field(
        default_factory=dict
    )  # in the order of their coming, so that runs are alike
    groups: dict[str, None] = field(default_factory=dict)
    outcome: bool | None = (
        None  # True: committed; known to the coordinator before the markers are written
    )
    markers_left: int = 0


@dataclass(eq=False)
class ProducerId:
    """What the transaction coordinator knows of a transactional id."""

    number: int
    timeout_s: float
    epoch: int = 0
    open: Transaction | None = None
    last: Transaction | None = None
    timed_out: bool = False


@dataclass(eq=False)
class Entry:
    data: Data | None  # None: a control record
    transaction: Transaction | None
    time_ms: int


@dataclass(eq=False)
class Partition:
    entries: list[Entry] = field(default_factory=list)
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

    def visible(self, offset: int) -> Data | None:
        """The record at an offset, if a `read_committed` reader sees one there."""
        entry = self.entries[offset]
        seen = entry.transaction is None or entry.transaction in self.committed
        return entry.data if seen else None

    def first_at(self, time_ms: int, end: int) -> int | None:
        """The first offset of this time or later, be it a control record or one that was taken back."""
        offsets = range(self.first, end)
        return next((offset for offset in offsets if self.entries[offset].time_ms >= time_ms), None)


@dataclass(eq=False)
class BrokerMember:
    number: int
    session_s: float
    poll_limit_s: float
    is_heard: Callable[[], bool]  # whether its heartbeats arrive
    last_heard_s: float
    last_poll_s: float
    owned: set[int] = field(default_factory=set)
    to_revoke: set[int] = field(default_factory=set)
    is_out: bool = False
    was_slow: bool = False  # out because it did not poll
    was_refused: bool = (
        False  # out because its generation was refused, then its name: the client forgets both
    )

    @property
    def name(self) -> str:
        return f"member-{self.number}"


@dataclass(eq=False)
class Group:
    topic: str = ""
    generation: int = 0
    members: list[BrokerMember] = field(default_factory=list)
    committed: dict[Place, int] = field(default_factory=dict)
    sent: dict[Place, int] = field(
        default_factory=dict
    )  # when the committed offset was: an offset sent before loses
    pending: dict[Transaction, dict[Place, tuple[int, int]]] = field(
        default_factory=dict
    )  # -> offset, when sent


def no_delay() -> float:
    return 0.0


class Broker:
    """Topics, transactions and groups of one broker."""

    def __init__(
        self, clock: SimulatedClock, marker_delay_s: Callable[[], float] = no_delay
    ) -> None:
        self.clock, self._marker_delay_s = clock, marker_delay_s
        self.topics: dict[str, list[Partition]] = {}
        self.groups: dict[str, Group] = defaultdict(Group)
        self._ids: dict[str, ProducerId] = {}
        self._numbers = count(1)

    # --- logs -------------------------------------------------------------------------------------

    def create(self, topic: str, partitions: int) -> None:
        self.topics[topic] = [Partition() for _ in range(partitions)]

    def partition(self, place: Place) -> Partition:
        topic, number = place
        if topic not in self.topics or number >= len(self.topics[topic]):
            raise BrokerRefusal(KafkaError.UNKNOWN_TOPIC_OR_PART)
        return self.topics[topic][number]

    # --- transactions -----------------------------------------------------------------------------

    def init_producer(self, transactional_id: str, timeout_s: float) -> tuple[ProducerId, int]:
        """Give out the id with a new epoch; whoever had it is fenced and what it left open is taken back."""
        known = self._ids.get(transactional_id)
        if known is None:
            known = self._ids[transactional_id] = ProducerId(next(self._numbers), timeout_s)
            return known, known.epoch
        if known.open is not None and known.open.outcome is None:
            self._decide(known.open, commit=False)
        self._write_markers_now(known)
        known.epoch += 1
        known.timeout_s, known.timed_out = timeout_s, False
        return known, known.epoch

    def produce(
        self, producer: ProducerId, epoch: int, place: Place, sequence: int, records: Sequence[Data]
    ) -> None:
        """Append the records of an open transaction; what was appended before is not appended again.

        The first request of a transaction opens it and adds the partition.
        """
        self._check(producer, epoch)
        partition = self.partition(place)
        expected = partition.sequences.get((producer.number, epoch), 0)
        if sequence < expected:
            return
        if sequence > expected:
            raise BrokerRefusal(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
        transaction = producer.open
        if (
            transaction is None
            or transaction.outcome is not None
            or place not in transaction.places
        ):
            raise BrokerRefusal(KafkaError.INVALID_TXN_STATE)
        partition.open.setdefault(transaction, partition.high_watermark)
        partition.entries += [Entry(data, transaction, data.timestamp_ms) for data in records]
        partition.sequences[producer.number, epoch] = expected + len(records)

    def add_places(self, producer: ProducerId, epoch: int, places: Iterable[Place]) -> None:
        for place in places:
            self.partition(place)
        self._opened(producer, epoch).places.update(dict.fromkeys(places))

    def add_group(self, producer: ProducerId, epoch: int, group: str) -> None:
        self._opened(producer, epoch).groups[group] = None

    def commit_offsets(
        self,
        producer: ProducerId,
        epoch: int,
        group: str,
        offsets: Mapping[Place, int],
        generation: int,
        member: str,
    ) -> None:
        """Take offsets into the open transaction. Without generation and member nothing is checked: so does Kafka."""
        self._check(producer, epoch)
        transaction = producer.open
        if (
            transaction is None
            or transaction.outcome is not None
            or group not in transaction.groups
        ):
            raise BrokerRefusal(KafkaError.INVALID_TXN_STATE)
        known = self.groups[group]
        if generation >= 0 or member:
            if member not in {m.name for m in known.members}:
                raise BrokerRefusal(KafkaError.UNKNOWN_MEMBER_ID)
            if generation != known.generation:
                raise BrokerRefusal(KafkaError.ILLEGAL_GENERATION)
        number = next(self._numbers)
        known.pending.setdefault(transaction, {}).update(
            {place: (at, number) for place, at in offsets.items()}
        )

    def end(self, producer: ProducerId, epoch: int, *, commit: bool) -> None:
        """End the open transaction, whichever that is by now; a repeated request is answered as the first was."""
        self._check(producer, epoch)
        transaction = producer.open
        if transaction is not None and transaction.outcome is None:
            self._decide(transaction, commit=commit)
            return
        settled = transaction or producer.last
        if settled is None or settled.outcome is not commit:
            raise BrokerRefusal(KafkaError.INVALID_TXN_STATE)

    def _check(self, producer: ProducerId, epoch: int) -> None:
        if epoch != producer.epoch:
            raise BrokerRefusal(KafkaError.INVALID_PRODUCER_EPOCH)

    def _opened(self, producer: ProducerId, epoch: int) -> Transaction:
        self._check(producer, epoch)
        transaction = producer.open
        if transaction is None:
            transaction = producer.open = Transaction(
                producer, self.clock.now_s + producer.timeout_s
            )
            self.clock.at(transaction.ends_s + SCAN_S, lambda: self._time_out(transaction))
        elif transaction.outcome is not None:
            raise BrokerRefusal(KafkaError.CONCURRENT_TRANSACTIONS)
        return transaction

    def _time_out(self, transaction: Transaction) -> None:
        if transaction.outcome is None:
            transaction.producer.epoch += 1
            transaction.producer.timed_out = True
            self._decide(transaction, commit=False)

    def _decide(self, transaction: Transaction, *, commit: bool) -> None:
        """The coordinator has decided; the partitions and groups learn it by a marker each, a little later."""
        transaction.outcome = commit
        markers: list[Callable[[], None]] = [
            self._log_marker(transaction, place) for place in transaction.places
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

    def _log_marker(self, transaction: Transaction, place: Place) -> Callable[[], None]:
        def write() -> None:
            partition = self.partition(place)
            partition.entries.append(
                Entry(None, transaction, EPOCH_MS + int(self.clock.now_s * 1000))
            )
            partition.open.pop(transaction, None)
            if transaction.outcome:
                partition.committed.add(transaction)
            self._marked(transaction)

        return self._once(write)

    def _group_marker(self, transaction: Transaction, name: str) -> Callable[[], None]:
        def write() -> None:
            known = self.groups[name]
            for place, (offset, number) in known.pending.pop(transaction, {}).items():
                if transaction.outcome and number > known.sent.get(place, 0):
                    known.committed[place], known.sent[place] = offset, number
            self._marked(transaction)

        return self._once(write)

    @staticmethod
    def _once(do: Callable[[], None]) -> Callable[[], None]:
        left = [do]

        def did() -> None:
            if left:
                left.pop()()

        return did

    def _marked(self, transaction: Transaction) -> None:
        transaction.markers_left -= 1
        if transaction.markers_left == 0:
            self._complete(transaction)

    @staticmethod
    def _complete(transaction: Transaction) -> None:
        transaction.producer.open, transaction.producer.last = None, transaction

    def _write_markers_now(self, producer: ProducerId) -> None:
        """A client that asks for its id waits until what it had is settled."""
        while producer.open is not None:
            self.clock.advance(0.05)

    # --- offsets ----------------------------------------------------------------------------------

    def committed(self, group: str, place: Place, *, stable: bool = True) -> int | None:
        """The committed offset; if it must be stable, refused while a transaction on it is pending."""
        known = self.groups[group]
        if stable and any(place in offsets for offsets in known.pending.values()):
            raise BrokerRefusal(KafkaError.UNSTABLE_OFFSET_COMMIT)
        return known.committed.get(place)

    # --- groups -----------------------------------------------------------------------------------

    def join(
        self,
        group: str,
        topic: str,
        session_s: float,
        poll_limit_s: float,
        is_heard: Callable[[], bool],
    ) -> BrokerMember:
        now_s = self.clock.now_s
        member = BrokerMember(next(self._numbers), session_s, poll_limit_s, is_heard, now_s, now_s)
        known = self.groups[group]
        known.topic = topic
        known.members.append(member)
        self._rebalance(known)
        self._watch(known, member)
        return member

    def leave(self, group: str, member: BrokerMember) -> None:
        """Take a member out, on its own wish or on nobody's."""
        known = self.groups[group]
        if member in known.members:
            known.members.remove(member)
            member.is_out = member.was_refused = True
            self._rebalance(known)

    def revoked(self, group: str, member: BrokerMember, partitions: Iterable[int]) -> None:
        """A member has given up what it was asked to; the next owner may have it."""
        member.owned -= set(partitions)
        member.to_revoke -= set(partitions)
        self._rebalance(self.groups[group])

    def _watch(self, group: Group, member: BrokerMember) -> None:
        """Look again and again whether a member is alive and polls."""
        if member.is_out:
            return
        now_s = self.clock.now_s
        if member.is_heard():
            member.last_heard_s = now_s
        silent = now_s - member.last_heard_s >= member.session_s
        stalled = now_s - member.last_poll_s >= member.poll_limit_s
        if silent or stalled:
            group.members.remove(member)
            member.is_out, member.was_slow = True, not silent
            self._rebalance(group)
            return
        self.clock.at(now_s + 0.5, lambda: self._watch(group, member))

    def _rebalance(self, group: Group) -> None:
        """Cooperative and sticky: what is free goes to those who have least; those who have too much are asked to give.

        A partition changes hands only after its owner has given it up or is gone.
        """
        group.generation += 1
        partitions = set(range(len(self.topics.get(group.topic, []))))
        if not group.members:
            return
        fair, more = divmod(len(partitions), len(group.members))
        by_wealth = sorted(group.members, key=lambda m: (-len(m.owned), m.number))
        quota = {m: fair + (at < more) for at, m in enumerate(by_wealth)}
        free = sorted(partitions - {p for m in group.members for p in m.owned})
        for member in sorted(group.members, key=lambda m: (len(m.owned), m.number)):
            while free and len(member.owned) < quota[member]:
                member.owned.add(free.pop(0))
            member.to_revoke = set(sorted(member.owned)[quota[member] :])
