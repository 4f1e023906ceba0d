"""confluent-kafka's Producer and Consumer, speaking to the broker model: the part of their interface that we use."""

import contextlib
import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, Final, NoReturn

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from tests.simulation.broker import (
    Broker,
    BrokerMember,
    BrokerRefusal,
    Data,
    Headers,
    Partition,
    Place,
    ProducerId,
)
from tests.simulation.network import Direct, NoAnswer, Process

_FENCES: Final = frozenset({KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})
_STEP_S: Final = 0.05  # how long a client waits before it asks again

Callback = Callable[["SimConsumer", list[TopicPartition]], None]


def failed(code: int, **flags: bool) -> KafkaException:
    return KafkaException(KafkaError(code, KafkaError(code).name(), **flags))


class SimMessage:
    """A message, or an event such as the end of a partition."""

    def __init__(
        self, place: Place, offset: int, data: Data | None, code: int | None = None
    ) -> None:
        self._place, self._offset, self._data, self._code = place, offset, data, code

    def error(self) -> KafkaError | None:
        return None if self._code is None else KafkaError(self._code)

    def topic(self) -> str:
        return self._place[0]

    def partition(self) -> int:
        return self._place[1]

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, 0 if self._data is None else self._data.timestamp_ms

    def key(self) -> bytes | None:
        return None if self._data is None else self._data.key

    def value(self) -> bytes | None:
        return None if self._data is None else self._data.value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return list(self._data.headers) or None if self._data is not None else None


class SimProducer:
    """A transactional producer."""

    def __init__(self, broker: Broker, process: Process, config: dict[str, Any]) -> None:
        self._broker = broker
        self._process: Process | Direct = process
        self._name = str(config["transactional.id"])
        self._timeout_s = int(config.get("transaction.timeout.ms", 60_000)) / 1000
        self._id: ProducerId | None = None
        self._epoch = 0
        self._is_open = False
        self._is_known = False  # whether the broker knows, or may know, of the open transaction
        self._failed: KafkaError | None = None  # fatal, or to be aborted
        self._buffer: list[tuple[Place, Data]] = []
        self._sequences: dict[Place, int] = {}
        self._on_error: Callable[[KafkaError], None] | None = config.get("error_cb")
        self._lost_before = process.connections_lost

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> SimpleNamespace:
        """Connect: what goes wrong then goes wrong with the next call just as well."""
        del timeout
        names = self._broker.topics if topic is None else [topic]
        return SimpleNamespace(topics=dict.fromkeys(names))

    def init_transactions(self, timeout: float = -1) -> None:
        del timeout
        if self._id is not None:
            raise failed(KafkaError._STATE)
        self._take_id()

    def _take_id(self) -> None:
        try:
            self._id, self._epoch = self._process.ask(
                "init", lambda: self._broker.init_producer(self._name, self._timeout_s)
            )
        except NoAnswer:
            raise failed(KafkaError._TIMED_OUT, retriable=True) from None
        self._sequences.clear()

    def begin_transaction(self) -> None:
        self._raise_failure()
        if self._id is None or self._is_open:
            raise failed(KafkaError._STATE)
        self._is_open, self._is_known = True, False

    def produce(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int = 0,
        timestamp: int = 0,
        headers: Headers = (),
    ) -> None:
        if self._failed is not None and self._failed.fatal():
            raise failed(KafkaError._FATAL)
        if not self._is_open:
            raise failed(KafkaError._STATE)
        self._buffer.append(((topic, partition), Data(key, value, timestamp, tuple(headers))))

    def poll(self, timeout: float = 0) -> int:
        """Tell of the connections that were lost since the last time."""
        del timeout
        lost, self._lost_before = (
            self._process.connections_lost - self._lost_before,
            self._process.connections_lost,
        )
        for _ in range(lost if self._on_error is not None else 0):
            assert self._on_error is not None
            self._on_error(KafkaError(KafkaError._TRANSPORT))
        return lost

    def flush(self, timeout: float = -1) -> int:
        """Send what was produced; what goes wrong is told by the next call."""
        del timeout
        if self._failed is None:
            self._send()
        return len(self._buffer)

    def send_offsets_to_transaction(
        self, offsets: Sequence[TopicPartition], metadata: bytes
    ) -> None:
        with self._all_sent(offsets, metadata):
            self._send_offsets(offsets, metadata)

    @contextlib.contextmanager
    def _all_sent(self, offsets: Sequence[TopicPartition], metadata: bytes) -> Iterator[None]:
        """What a call in an open transaction does first: send what was produced; it may hang at any request."""
        self._raise_failure()
        if not self._is_open:
            raise failed(KafkaError._STATE)
        try:
            self._send()
            self._raise_failure()
            yield
        finally:
            self._leave_behind(offsets, metadata)

    def _send_offsets(self, offsets: Sequence[TopicPartition], metadata: bytes) -> None:
        generation, group, member = parsed_membership(metadata)
        places = {(o.topic, o.partition): int(o.offset) for o in offsets if o.offset >= 0}
        if not places:
            return
        producer, epoch = self._owned()
        try:
            self._waited("group", lambda: self._broker.add_group(producer, epoch, group))
            self._process.ask(
                "offsets",
                lambda: self._broker.commit_offsets(
                    producer, epoch, group, places, generation, member
                ),
            )
        except NoAnswer:
            raise failed(KafkaError._TIMED_OUT, retriable=True) from None
        except BrokerRefusal as error:
            self._fail(error.code, abortable=error.code not in _FENCES)

    def commit_transaction(self, timeout: float = -1) -> None:
        del timeout
        with self._all_sent([], b""):
            self._end(commit=True)

    def abort_transaction(self, timeout: float = -1) -> None:
        del timeout
        if self._failed is not None and self._failed.fatal():
            raise KafkaException(self._failed)
        if not self._is_open:
            raise failed(KafkaError._STATE)
        self._buffer.clear()
        if self._failed is not None and self._failed.code() == KafkaError._MSG_TIMED_OUT:
            # What became of the records is not known: a new epoch shuts out those that are still under way.
            self._take_id()
            self._is_open, self._failed = False, None
            return
        self._end(commit=False)

    def purge(self) -> None:
        self._buffer.clear()

    def close(self) -> None:
        """Like the client's: it tries to abort what is open, and does not mind if that fails."""
        if self._is_open and (self._failed is None or not self._failed.fatal()):
            try:
                self.abort_transaction()
            except KafkaException:
                return

    def _end(self, *, commit: bool) -> None:
        producer, epoch = self._owned()
        try:
            if self._is_known:
                self._process.ask("end", lambda: self._broker.end(producer, epoch, commit=commit))
        except NoAnswer:
            raise failed(KafkaError._TIMED_OUT, retriable=True) from None
        except BrokerRefusal as error:
            self._fail(error.code, abortable=False)
        self._is_open, self._failed = False, None

    def _leave_behind(self, offsets: Sequence[TopicPartition], metadata: bytes) -> None:
        """If the call hangs: the thread it was made from wakes up some time, and goes on to commit."""
        if self._process.hung_s is None:
            return
        left = copy.copy(self)
        left._process, left._failed = Direct(), None

        def wake() -> None:
            with contextlib.suppress(KafkaException):
                if offsets:
                    left.send_offsets_to_transaction(offsets, metadata)
                left.commit_transaction()

        self._broker.clock.at(self._broker.clock.now_s + self._process.hung_s, wake)

    def _send(self) -> None:
        """Send what was produced, a request for each partition."""
        producer, epoch = self._owned()
        while self._buffer:
            place = self._buffer[0][0]
            records = [data for there, data in self._buffer if there == place]
            sequence = self._sequences.get(place, 0)
            try:
                self._waited("places", partial(self._broker.add_places, producer, epoch, [place]))
                self._process.ask(
                    "produce",
                    lambda place=place, sequence=sequence, records=records: self._broker.produce(  # type: ignore[misc]
                        producer, epoch, place, sequence, records
                    ),
                )
            except NoAnswer:
                self._failed = KafkaError(
                    KafkaError._MSG_TIMED_OUT, "no answer", txn_requires_abort=True
                )
                return
            except BrokerRefusal as error:
                undelivered = error.code == KafkaError.UNKNOWN_TOPIC_OR_PART
                code = KafkaError._INCONSISTENT if undelivered else error.code
                self._note(code, abortable=code not in _FENCES)
                return
            self._sequences[place] = sequence + len(records)
            self._buffer = [item for item in self._buffer if item[0] != place]

    def _waited(self, what: str, do: Callable[[], None]) -> None:
        """Ask again while the transaction before is still being ended."""
        while True:
            try:
                self._process.ask(what, do)
            except NoAnswer:
                self._is_known = True
                raise
            except BrokerRefusal as error:
                if error.code != KafkaError.CONCURRENT_TRANSACTIONS:
                    raise
                self._broker.clock.advance(_STEP_S)
            else:
                self._is_known = True
                return

    def _owned(self) -> tuple[ProducerId, int]:
        if self._id is None:
            raise failed(KafkaError._STATE)
        return self._id, self._epoch

    def _note(self, code: int, *, abortable: bool) -> None:
        told = KafkaError._FENCED if code in _FENCES else code
        self._failed = KafkaError(
            told, KafkaError(told).name(), fatal=not abortable, txn_requires_abort=abortable
        )

    def _fail(self, code: int, *, abortable: bool) -> NoReturn:
        self._note(code, abortable=abortable)
        assert self._failed is not None
        raise KafkaException(self._failed)

    def _raise_failure(self) -> None:
        if self._failed is not None:
            raise KafkaException(self._failed)


@dataclass
class _Assigned:
    """Where a consumer stands in a partition."""

    offset: int
    is_paused: bool = False
    end_told_at: int = -1


class SimConsumer:
    """A consumer, in a group or without one."""

    def __init__(self, broker: Broker, process: Process, config: dict[str, Any]) -> None:
        self._broker, self._process = broker, process
        self._group = str(config["group.id"])
        self._tells_ends = bool(config.get("enable.partition.eof", False))
        self._committed_only = config.get("isolation.level", "read_committed") == "read_committed"
        self._session_s = int(config.get("session.timeout.ms", 45_000)) / 1000
        self._poll_limit_s = int(config.get("max.poll.interval.ms", 300_000)) / 1000
        self._topic = ""
        self._on_assign: Callback | None = None
        self._on_revoke: Callback | None = None
        self._on_lost: Callback | None = None
        self._member: BrokerMember | None = None
        self._generation = -1
        self._given: set[int] = set()  # in the group: what the callbacks have told
        self._places: dict[Place, _Assigned] = {}
        self._turn = 0

    # --- groups -----------------------------------------------------------------------------------

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callback | None = None,
        on_revoke: Callback | None = None,
        on_lost: Callback | None = None,
    ) -> None:
        (self._topic,) = topics
        self._process.in_group = self
        self._on_assign, self._on_revoke, self._on_lost = on_assign, on_revoke, on_lost

    def consumer_group_metadata(self) -> bytes:
        """The membership as the client has it now: its background thread forgets its name once it hears it is out."""
        member = self._member
        if member is None:
            return membership(self._generation, self._group, "")
        if member.is_out and self._process.is_heard:
            return membership(-1 if member.was_refused else self._generation, self._group, "")
        return membership(self._generation, self._group, member.name)

    def close(self) -> None:
        """Give everything up and leave."""
        if self._given:
            self._tell(self._on_revoke, self._given)
        if self._member is not None and self._process.is_heard:
            self._broker.leave(self._group, self._member)
        self._member = None
        self._places.clear()

    def _meet_group(self) -> None:
        """Do what the client's background thread and its callbacks do: join, give up, take over."""
        if not self._topic or not self._process.is_heard:
            return
        if self._member is not None and self._member.is_out:
            self._member = None
            self._tell(self._on_lost or self._on_revoke, self._given)
        if self._member is None:
            self._member = self._broker.join(
                self._group,
                self._topic,
                self._session_s,
                self._poll_limit_s,
                lambda: self._process.is_heard,
            )
        member = self._member
        member.last_poll_s = self._broker.clock.now_s
        revoked = set(member.to_revoke)
        if revoked:
            self._tell(self._on_revoke, revoked & self._given)
            self._broker.revoked(self._group, member, revoked)
        self._generation = self._broker.groups[self._group].generation
        new = member.owned - self._given
        if new:
            self._given |= new
            places = self._tps(new)
            if self._on_assign is not None:
                self._on_assign(self, places)
            if not all((self._topic, p) in self._places for p in new):
                self.incremental_assign(places)

    def _tell(self, callback: Callback | None, partitions: set[int]) -> None:
        gone = set(partitions)
        if not gone:
            return
        if callback is not None:
            callback(self, self._tps(gone))
        self._given -= gone
        for partition in gone:
            self._places.pop((self._topic, partition), None)

    def _tps(self, partitions: set[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, p) for p in sorted(partitions)]

    # --- places -----------------------------------------------------------------------------------

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self._places.clear()
        self.incremental_assign(places)

    def unassign(self) -> None:
        self._places.clear()

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(topic, partition) for topic, partition in self._places]

    def incremental_assign(self, places: Sequence[TopicPartition]) -> None:
        for place in places:
            self._places[place.topic, place.partition] = _Assigned(self._start(place))

    def incremental_unassign(self, places: Sequence[TopicPartition]) -> None:
        for place in places:
            self._places.pop((place.topic, place.partition), None)

    def _start(self, place: TopicPartition) -> int:
        there = self._broker.partition((place.topic, place.partition))
        if place.offset == OFFSET_BEGINNING:
            return there.first
        if place.offset == OFFSET_END:
            return there.last_stable
        if place.offset < 0:
            committed = self._broker.committed(
                self._group, (place.topic, place.partition), stable=False
            )
            return -1 if committed is None else committed
        return int(place.offset)

    def seek(self, place: TopicPartition) -> None:
        there = self._places.get((place.topic, place.partition))
        if there is None:
            raise failed(KafkaError._STATE)
        there.offset, there.end_told_at = int(place.offset), -1

    def pause(self, places: Sequence[TopicPartition]) -> None:
        self._pause(places, paused=True)

    def resume(self, places: Sequence[TopicPartition]) -> None:
        self._pause(places, paused=False)

    def _pause(self, places: Sequence[TopicPartition], *, paused: bool) -> None:
        for place in places:
            there = self._places.get((place.topic, place.partition))
            if there is not None:
                there.is_paused = paused

    # --- reading ----------------------------------------------------------------------------------

    def poll(self, timeout: float = -1) -> SimMessage | None:
        if self._was_slow():
            return SimMessage((self._topic, 0), OFFSET_INVALID, None, KafkaError._MAX_POLL_EXCEEDED)
        self._meet_group()
        waited_s = 0.0
        while (message := self._next()) is None and waited_s < timeout:
            step_s = min(0.5, timeout - waited_s)
            self._broker.clock.advance(step_s)
            waited_s += step_s
        return message

    def _was_slow(self) -> bool:
        """Whether it has left the group because it did not poll; told once, before the partitions are taken away."""
        member = self._member
        if member is None or not member.was_slow or not self._process.is_heard:
            return False
        member.was_slow = False
        return True

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[SimMessage]:
        del timeout
        found: list[SimMessage] = []
        while len(found) < num_messages and (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> SimMessage | None:
        """The next message or event of any partition, the partitions taking turns."""
        if self._process.is_cut:
            return None
        places = list(self._places)
        for at in range(len(places)):
            place = places[(self._turn + at) % len(places)]
            message = self._next_of(place, self._places[place])
            if message is not None:
                self._turn += at
                return message
        return None

    def _next_of(self, place: Place, there: _Assigned) -> SimMessage | None:
        if there.is_paused:
            return None
        partition = self._broker.partition(place)
        end = self._end(partition)
        if there.offset < partition.first or there.offset > partition.high_watermark:
            there.is_paused = True
            return SimMessage(place, there.offset, None, KafkaError._AUTO_OFFSET_RESET)
        while there.offset < end:
            offset = there.offset
            there.offset += 1
            data = (
                partition.visible(offset)
                if self._committed_only
                else partition.entries[offset].data
            )
            if data is not None:
                return SimMessage(place, offset, data)
        if self._tells_ends and there.end_told_at != end:
            there.end_told_at = end
            return SimMessage(place, there.offset, None, KafkaError._PARTITION_EOF)
        return None

    def _end(self, partition: Partition) -> int:
        return partition.last_stable if self._committed_only else partition.high_watermark

    # --- questions --------------------------------------------------------------------------------

    def committed(
        self, places: Sequence[TopicPartition], timeout: float = -1
    ) -> list[TopicPartition]:
        """Wait while a transaction is pending, if only committed records are read."""
        (place,) = places
        waited_s = 0.0
        while True:
            try:
                offset = self._process.ask(
                    "committed",
                    lambda: self._broker.committed(
                        self._group, (place.topic, place.partition), stable=self._committed_only
                    ),
                )
            except NoAnswer:
                raise failed(KafkaError._TIMED_OUT) from None
            except BrokerRefusal:
                if waited_s >= timeout >= 0:
                    raise failed(KafkaError._TIMED_OUT) from None
                self._broker.clock.advance(_STEP_S)
                waited_s += _STEP_S
            else:
                return [
                    TopicPartition(
                        place.topic, place.partition, OFFSET_INVALID if offset is None else offset
                    )
                ]

    def get_watermark_offsets(self, place: TopicPartition, timeout: float = -1) -> tuple[int, int]:
        del timeout
        partition = self._asked("ends", (place.topic, place.partition))
        return partition.first, self._end(partition)

    def offsets_for_times(
        self, places: Sequence[TopicPartition], timeout: float = -1
    ) -> list[TopicPartition]:
        del timeout
        (place,) = places
        partition = self._asked("times", (place.topic, place.partition))
        found = partition.first_at(int(place.offset), self._end(partition))
        return [
            TopicPartition(place.topic, place.partition, OFFSET_END if found is None else found)
        ]

    def list_topics(self, topic: str, timeout: float = -1) -> SimpleNamespace:
        del timeout
        partitions = dict.fromkeys(range(len(self._broker.topics.get(topic, []))))
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=partitions)})

    def _asked(self, what: str, place: Place) -> Partition:
        try:
            return self._process.ask(what, lambda: self._broker.partition(place))
        except NoAnswer:
            raise failed(KafkaError._TIMED_OUT) from None
        except BrokerRefusal:
            raise failed(KafkaError._UNKNOWN_PARTITION) from None


def membership(generation: int, group: str, member: str) -> bytes:
    """A group membership in the client's own format."""
    number = generation.to_bytes(4, sys.byteorder, signed=True)
    return b"CGMDv2:" + number + group.encode() + bytes(1) + member.encode() + bytes(1)


def parsed_membership(data: bytes) -> tuple[int, str, str]:
    generation = int.from_bytes(data[7:11], sys.byteorder, signed=True)
    group, member = data[11:].split(bytes(1))[:2]
    return generation, group.decode(), member.decode()
