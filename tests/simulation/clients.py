"""Producer and Consumer of the broker model: the part of confluent-kafka's interface in use."""

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
    BROKER_SESSION_S,
    Broker,
    BrokerError,
    BrokerMember,
    Headers,
    Partition,
    PartitionKey,
    ProducerId,
    RecordData,
)
from tests.simulation.network import DirectConnection, Process, RequestKind, RequestTimedOut

_FENCES: Final = frozenset({KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})
_STEP_S: Final = 0.05  # a client's pause before it repeats a request
# In the protocol `consumer` a client has no session of its own: until a heartbeat tells it that it
# was expelled, it keeps fetching. It is told so late here.
_NOTICE_S: Final = 2.0

Callback = Callable[["SimulatedConsumer", list[TopicPartition]], None]


def kafka_error(code: int, **flags: bool) -> KafkaException:
    return KafkaException(KafkaError(code, KafkaError(code).name(), **flags))


class SimulatedMessage:
    """A message, or an event such as the end of a partition."""

    def __init__(
        self, place: PartitionKey, offset: int, data: RecordData | None, code: int | None = None
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


class SimulatedProducer:
    """A transactional producer."""

    def __init__(self, broker: Broker, process: Process, config: dict[str, Any]) -> None:
        self._broker = broker
        self._process: Process | DirectConnection = process
        self._name = str(config["transactional.id"])
        self._timeout_s = int(config.get("transaction.timeout.ms", 60_000)) / 1000
        self._id: ProducerId | None = None
        self._epoch = 0
        self._is_open = False
        self._is_known = False  # whether the broker may have the open transaction
        self._error: KafkaError | None = None  # fatal, or to be aborted
        self._buffer: list[tuple[PartitionKey, RecordData]] = []
        self._sequences: dict[PartitionKey, int] = {}
        self._on_error: Callable[[KafkaError], None] | None = config.get("error_cb")
        self._lost_before = process.connections_lost

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> SimpleNamespace:
        """Return the topics; a fault of the connection strikes the next call instead."""
        del timeout
        names = self._broker.topics if topic is None else [topic]
        return SimpleNamespace(topics=dict.fromkeys(names))

    def init_transactions(self, timeout: float = -1) -> None:
        del timeout
        if self._id is not None:
            raise kafka_error(KafkaError._STATE)
        self._take_id()

    def _take_id(self) -> None:
        try:
            self._id, self._epoch = self._process.request(
                "init_producer", lambda: self._broker.init_producer(self._name, self._timeout_s)
            )
        except RequestTimedOut:
            raise kafka_error(KafkaError._TIMED_OUT, retriable=True) from None
        self._sequences.clear()

    def begin_transaction(self) -> None:
        self._raise_failure()
        if self._id is None or self._is_open:
            raise kafka_error(KafkaError._STATE)
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
        if self._error is not None and self._error.fatal():
            raise kafka_error(KafkaError._FATAL)
        if not self._is_open:
            raise kafka_error(KafkaError._STATE)
        self._buffer.append(((topic, partition), RecordData(key, value, timestamp, tuple(headers))))

    def poll(self, timeout: float = 0) -> int:
        """Report connections that were lost since the last call."""
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
        """Send buffered records; the next call raises an error, if there was one."""
        del timeout
        if self._error is None:
            self._send()
        return len(self._buffer)

    def send_offsets_to_transaction(
        self, offsets: Sequence[TopicPartition], metadata: bytes
    ) -> None:
        with self._after_sending(offsets, metadata):
            self._send_offsets(offsets, metadata)

    @contextlib.contextmanager
    def _after_sending(self, offsets: Sequence[TopicPartition], metadata: bytes) -> Iterator[None]:
        """Send buffered records before a call in an open transaction; any request may hang."""
        self._raise_failure()
        if not self._is_open:
            raise kafka_error(KafkaError._STATE)
        try:
            self._send()
            self._raise_failure()
            yield
        finally:
            self._schedule_hung_call(offsets, metadata)

    def _send_offsets(self, offsets: Sequence[TopicPartition], metadata: bytes) -> None:
        generation, group, member = decode_membership(metadata)
        places = {(o.topic, o.partition): int(o.offset) for o in offsets if o.offset >= 0}
        if not places:
            return
        producer, epoch = self._producer_id()
        try:
            self._request_when_free(
                "add_offsets", lambda: self._broker.add_group(producer, epoch, group)
            )
            self._process.request(
                "commit_offsets",
                lambda: self._broker.commit_offsets(
                    producer, epoch, group, places, generation, member
                ),
            )
        except RequestTimedOut:
            raise kafka_error(KafkaError._TIMED_OUT, retriable=True) from None
        except BrokerError as error:
            self._fail(error.code, abortable=error.code not in _FENCES)

    def commit_transaction(self, timeout: float = -1) -> None:
        del timeout
        with self._after_sending([], b""):
            self._end(commit=True)

    def abort_transaction(self, timeout: float = -1) -> None:
        del timeout
        if self._error is not None and self._error.fatal():
            raise KafkaException(self._error)
        if not self._is_open:
            raise kafka_error(KafkaError._STATE)
        self._buffer.clear()
        if self._error is not None and self._error.code() == KafkaError._MSG_TIMED_OUT:
            # Records may still be on their way: a new epoch makes the broker refuse them.
            self._take_id()
            self._is_open, self._error = False, None
            return
        self._end(commit=False)

    def purge(self) -> None:
        self._buffer.clear()

    def close(self) -> None:
        """Abort an open transaction, if that is possible; as the real client does."""
        if self._is_open and (self._error is None or not self._error.fatal()):
            try:
                self.abort_transaction()
            except KafkaException:
                return

    def _end(self, *, commit: bool) -> None:
        producer, epoch = self._producer_id()
        try:
            if self._is_known:
                self._process.request(
                    "end_transaction",
                    lambda: self._broker.end_transaction(producer, epoch, commit=commit),
                )
        except RequestTimedOut:
            raise kafka_error(KafkaError._TIMED_OUT, retriable=True) from None
        except BrokerError as error:
            self._fail(error.code, abortable=False)
        self._is_open, self._error = False, None

    def _schedule_hung_call(self, offsets: Sequence[TopicPartition], metadata: bytes) -> None:
        """If a request hangs, let its thread wake up later and continue to the commit."""
        if self._process.hung_s is None:
            return
        left = copy.copy(self)
        left._process, left._error = DirectConnection(), None

        def wake() -> None:
            with contextlib.suppress(KafkaException):
                if offsets:
                    left.send_offsets_to_transaction(offsets, metadata)
                left.commit_transaction()

        self._broker.clock.at(self._broker.clock.now_s + self._process.hung_s, wake)

    def _send(self) -> None:
        """Send buffered records, a request for each partition."""
        producer, epoch = self._producer_id()
        while self._buffer:
            place = self._buffer[0][0]
            records = [data for there, data in self._buffer if there == place]
            sequence = self._sequences.get(place, 0)
            try:
                self._request_when_free(
                    "add_partitions", partial(self._broker.add_partitions, producer, epoch, [place])
                )
                self._process.request(
                    "produce",
                    partial(self._broker.produce, producer, epoch, place, sequence, records),
                )
            except RequestTimedOut:
                self._error = KafkaError(
                    KafkaError._MSG_TIMED_OUT, "no answer", txn_requires_abort=True
                )
                return
            except BrokerError as error:
                undelivered = error.code == KafkaError.UNKNOWN_TOPIC_OR_PART
                code = KafkaError._INCONSISTENT if undelivered else error.code
                self._set_error(code, abortable=code not in _FENCES)
                return
            self._sequences[place] = sequence + len(records)
            self._buffer = [item for item in self._buffer if item[0] != place]

    def _request_when_free(self, kind: RequestKind, call: Callable[[], None]) -> None:
        """Repeat a request while the previous transaction is still being ended."""
        while True:
            try:
                self._process.request(kind, call)
            except RequestTimedOut:
                self._is_known = True
                raise
            except BrokerError as error:
                if error.code != KafkaError.CONCURRENT_TRANSACTIONS:
                    raise
                self._broker.clock.advance(_STEP_S)
            else:
                self._is_known = True
                return

    def _producer_id(self) -> tuple[ProducerId, int]:
        if self._id is None:
            raise kafka_error(KafkaError._STATE)
        return self._id, self._epoch

    def _set_error(self, code: int, *, abortable: bool) -> None:
        code = KafkaError._FENCED if code in _FENCES else code
        name = KafkaError(code).name()
        self._error = KafkaError(code, name, fatal=not abortable, txn_requires_abort=abortable)

    def _fail(self, code: int, *, abortable: bool) -> NoReturn:
        self._set_error(code, abortable=abortable)
        assert self._error is not None
        raise KafkaException(self._error)

    def _raise_failure(self) -> None:
        if self._error is not None:
            raise KafkaException(self._error)


@dataclass
class _Position:
    """A consumer's position in a partition."""

    offset: int
    is_paused: bool = False
    end_reported_at: int = -1


class SimulatedConsumer:
    """A consumer, in a group or without one."""

    def __init__(self, broker: Broker, process: Process, config: dict[str, Any]) -> None:
        self._broker, self._process = broker, process
        self._group = str(config["group.id"])
        self._reports_ends = bool(config.get("enable.partition.eof", False))
        self._committed_only = config.get("isolation.level", "read_committed") == "read_committed"
        is_classic = config.get("group.protocol", "classic") == "classic"
        session_ms = int(config.get("session.timeout.ms", 45_000))
        self._session_s = session_ms / 1000 if is_classic else BROKER_SESSION_S
        self._poll_limit_s = int(config.get("max.poll.interval.ms", 300_000)) / 1000
        self._name = "" if is_classic else broker.new_client_name()
        self._topic = ""
        self._on_assign: Callback | None = None
        self._on_revoke: Callback | None = None
        self._on_lost: Callback | None = None
        self._member: BrokerMember | None = None
        self._generation = -1
        self._assigned: set[int] = set()  # partitions that on_assign was called with
        self._places: dict[PartitionKey, _Position] = {}
        self._next_partition = 0

    # --- groups -----------------------------------------------------------------------------------

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callback | None = None,
        on_revoke: Callback | None = None,
        on_lost: Callback | None = None,
    ) -> None:
        (self._topic,) = topics
        self._process.group_consumer = self
        self._on_assign, self._on_revoke, self._on_lost = on_assign, on_revoke, on_lost

    def consumer_group_metadata(self) -> bytes:
        """Return the membership; the client drops its name once it knows that it was removed."""
        if self._name:
            return encode_membership(self._generation, self._group, self._name)
        member = self._member
        if member is None:
            return encode_membership(self._generation, self._group, "")
        if member.has_left and self._process.sends_heartbeats:
            return encode_membership(
                -1 if member.was_refused else self._generation, self._group, ""
            )
        return encode_membership(self._generation, self._group, member.name)

    def close(self) -> None:
        """Revoke all partitions and leave the group."""
        if self._assigned:
            self._call_back(self._on_revoke, self._assigned)
        if self._member is not None and self._process.sends_heartbeats:
            self._broker.leave(self._group, self._member)
        self._member = None
        self._places.clear()

    def _sync_group(self) -> None:
        """Join, revoke and take over, as the client's background thread and callbacks do."""
        if not self._topic or not self._process.sends_heartbeats:
            return
        if self._member is not None and self._knows_that_it_left(self._member):
            self._generation = 0 if self._name else self._generation
            self._member = None
            self._call_back(self._on_lost or self._on_revoke, self._assigned)
        member = self._member = self._member or self._join()
        if member.has_left:
            return  # it does not know yet
        member.last_poll_s = self._broker.clock.now_s
        revoked = set(member.to_revoke)
        if revoked:
            self._call_back(self._on_revoke, revoked & self._assigned)
            self._broker.release_partitions(self._group, member, revoked)
        group = self._broker.groups[self._group]
        self._generation = group.generation if group.is_classic else member.epoch
        new = member.owned - self._assigned
        if new:
            self._assigned |= new
            places = self._tps(new)
            if self._on_assign is not None:
                self._on_assign(self, places)
            if not all((self._topic, p) in self._places for p in new):
                self.incremental_assign(places)

    def _join(self) -> BrokerMember:
        return self._broker.join(
            self._group,
            self._topic,
            self._session_s,
            self._poll_limit_s,
            lambda: self._process.sends_heartbeats,
            self._name,
        )

    def _knows_that_it_left(self, member: BrokerMember) -> bool:
        notice_s = _NOTICE_S if self._name and not member.was_slow else 0.0
        return member.has_left and self._broker.clock.now_s >= member.left_s + notice_s

    def _call_back(self, callback: Callback | None, partitions: set[int]) -> None:
        gone = set(partitions)
        if not gone:
            return
        if callback is not None:
            callback(self, self._tps(gone))
        self._assigned -= gone
        for partition in gone:
            self._places.pop((self._topic, partition), None)

    def _tps(self, partitions: set[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, p) for p in sorted(partitions)]

    # --- positions --------------------------------------------------------------------------------

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self._places.clear()
        self.incremental_assign(places)

    def unassign(self) -> None:
        self._places.clear()

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(topic, partition) for topic, partition in self._places]

    def incremental_assign(self, places: Sequence[TopicPartition]) -> None:
        for place in places:
            self._places[place.topic, place.partition] = _Position(self._start(place))

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
            raise kafka_error(KafkaError._STATE)
        there.offset, there.end_reported_at = int(place.offset), -1

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

    def poll(self, timeout: float = -1) -> SimulatedMessage | None:
        if self._was_slow():
            return SimulatedMessage(
                (self._topic, 0), OFFSET_INVALID, None, KafkaError._MAX_POLL_EXCEEDED
            )
        self._sync_group()
        waited_s = 0.0
        while (message := self._next()) is None and waited_s < timeout:
            step_s = min(0.5, timeout - waited_s)
            self._broker.clock.advance(step_s)
            waited_s += step_s
        return message

    def _was_slow(self) -> bool:
        """Tell once whether the member was removed because it did not poll."""
        member = self._member
        if member is None or not member.was_slow or not self._process.sends_heartbeats:
            return False
        member.was_slow = False
        return True

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[SimulatedMessage]:
        del timeout
        found: list[SimulatedMessage] = []
        while len(found) < num_messages and (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> SimulatedMessage | None:
        """Return the next message or event; the partitions take turns."""
        if self._process.is_cut:
            return None
        places = list(self._places)
        for at in range(len(places)):
            place = places[(self._next_partition + at) % len(places)]
            message = self._next_of(place, self._places[place])
            if message is not None:
                self._next_partition += at
                return message
        return None

    def _next_of(self, place: PartitionKey, there: _Position) -> SimulatedMessage | None:
        if there.is_paused:
            return None
        partition = self._broker.partition(place)
        end = self._end(partition)
        if there.offset < partition.first or there.offset > partition.high_watermark:
            there.is_paused = True
            return SimulatedMessage(place, there.offset, None, KafkaError._AUTO_OFFSET_RESET)
        while there.offset < end:
            offset = there.offset
            there.offset += 1
            data = (
                partition.visible(offset)
                if self._committed_only
                else partition.entries[offset].data
            )
            if data is not None:
                return SimulatedMessage(place, offset, data)
        if self._reports_ends and there.end_reported_at != end:
            there.end_reported_at = end
            return SimulatedMessage(place, there.offset, None, KafkaError._PARTITION_EOF)
        return None

    def _end(self, partition: Partition) -> int:
        return partition.last_stable if self._committed_only else partition.high_watermark

    # --- offsets ----------------------------------------------------------------------------------

    def committed(
        self, places: Sequence[TopicPartition], timeout: float = -1
    ) -> list[TopicPartition]:
        """Return the committed offset; `read_committed` waits for a pending transaction."""
        (place,) = places
        waited_s = 0.0
        while True:
            try:
                offset = self._process.request(
                    "fetch_offset",
                    lambda: self._broker.committed(
                        self._group, (place.topic, place.partition), stable=self._committed_only
                    ),
                )
            except RequestTimedOut:
                raise kafka_error(KafkaError._TIMED_OUT) from None
            except BrokerError:
                if waited_s >= timeout >= 0:
                    raise kafka_error(KafkaError._TIMED_OUT) from None
                self._broker.clock.advance(_STEP_S)
                waited_s += _STEP_S
            else:
                return [
                    TopicPartition(
                        place.topic, place.partition, OFFSET_INVALID if offset is None else offset
                    )
                ]

    def get_watermark_offsets(
        self, place: TopicPartition, timeout: float = -1, cached: bool = False
    ) -> tuple[int, int]:
        del timeout
        if cached:  # nothing but a metric depends on it
            return OFFSET_INVALID, OFFSET_INVALID
        partition = self._request_partition("list_offsets", (place.topic, place.partition))
        return partition.first, self._end(partition)

    def offsets_for_times(
        self, places: Sequence[TopicPartition], timeout: float = -1
    ) -> list[TopicPartition]:
        del timeout
        (place,) = places
        partition = self._request_partition("offsets_for_times", (place.topic, place.partition))
        found = partition.first_at(int(place.offset), self._end(partition))
        return [
            TopicPartition(place.topic, place.partition, OFFSET_END if found is None else found)
        ]

    def list_topics(self, topic: str, timeout: float = -1) -> SimpleNamespace:
        del timeout
        partitions = dict.fromkeys(range(len(self._broker.topics.get(topic, []))))
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=partitions, error=None)})

    def _request_partition(self, kind: RequestKind, place: PartitionKey) -> Partition:
        try:
            return self._process.request(kind, lambda: self._broker.partition(place))
        except RequestTimedOut:
            raise kafka_error(KafkaError._TIMED_OUT) from None
        except BrokerError:
            raise kafka_error(KafkaError._UNKNOWN_PARTITION) from None


def encode_membership(generation: int, group: str, member: str) -> bytes:
    """Return a group membership as librdkafka encodes it."""
    number = generation.to_bytes(4, sys.byteorder, signed=True)
    return b"CGMDv2:" + number + group.encode() + bytes(1) + member.encode() + bytes(1)


def decode_membership(data: bytes) -> tuple[int, str, str]:
    generation = int.from_bytes(data[7:11], sys.byteorder, signed=True)
    group, member = data[11:].split(bytes(1))[:2]
    return generation, group.decode(), member.decode()
