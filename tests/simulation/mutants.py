"""Mutants: the production code with one safeguard left out. The simulation must catch each."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from services.predictor.output_records import PartitionOutput
from services.predictor.partition_task import PartitionTask
from services.predictor.recovery.partition_recovery import (
    PartitionRecovery,
    Restoration,
    RestoredState,
)
from services.predictor.worker import Worker
from shared.adapters.kafka.consumer_group import Batch, ConsumerGroupMember
from shared.adapters.kafka.errors import OutcomeUnknown
from shared.adapters.kafka.producer import OffsetsToCommit, ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.errors import BadInput
from shared.core.online.partition import PartitionState, fold
from shared.core.records import Promotion
from shared.log.record_processor import BatchResult, RecordProcessor
from tests.simulation.broker import Broker, PartitionKey
from tests.simulation.clients import SimulatedConsumer, SimulatedProducer, encode_membership
from tests.simulation.log import CODEC, CONTEXT, PROFILE, TOPICS, build_processor, model_of
from tests.simulation.replica import CONSUMER_GROUP, ReplicaParts
from tests.support.fakes import FakeStateStore


class StateChangedInPlace(PartitionTask):
    """The state changes while a batch is processed; only its offset waits for the commit."""

    def process(self, records: Sequence[ConsumerRecord]) -> BatchResult:
        result = super().process(records)
        self._state = replace(result.state, next_offset=self.state.next_offset)
        return result


class MemoryKeptAfterAbort(Worker):
    """After an abort records are read again from the committed offset, into the state in memory."""

    def _restart_tasks(self, partitions: Iterable[int]) -> None:
        for partition in sorted(partitions):
            task = self._tasks.get(partition)
            if task is not None and task.is_restored:
                offset = self._consumer_group.committed(partition) or 0
                self._consumer_group.resume(partition, offset)


class MemoryKeptAcrossReassignment(Worker):
    """A partition that is assigned again continues from memory."""

    def on_revoked(self, partitions: list[int]) -> None:
        del partitions

    def on_assigned(self, partitions: list[int]) -> None:
        restored = {p for p, task in self._tasks.items() if task.is_restored}
        super().on_assigned([p for p in partitions if p not in restored])
        for partition in restored.intersection(partitions):
            offset = self._tasks[partition].state.next_offset
            self._consumer_group.resume(partition, offset)


class RedisOverOffset(PartitionRecovery):
    """Redis says where to continue, whatever is committed."""

    def restore(self, partition: int, *, from_beginning: bool = False) -> Restoration:
        saved = None if from_beginning else (yield from self._load_snapshot(partition))
        if saved is None:
            return (yield from super().restore(partition, from_beginning=from_beginning))
        return RestoredState(saved, "redis")


class OffsetsAlone(PartitionRecovery):
    """Without a committed offset the log is read from its beginning, whatever is published.

    This is what auto.offset.reset=earliest does.
    """

    def restore(self, partition: int, *, from_beginning: bool = False) -> Restoration:
        if self.consumer_group.committed(partition) is None:
            yield
            return RestoredState(PartitionState(), "log")
        return (yield from super().restore(partition, from_beginning=from_beginning))


class RedisBeforeCommit(Worker):
    """Redis is written with the batch, before its commit."""

    def _process(self, records: Sequence[ConsumerRecord]) -> dict[int, PartitionOutput]:
        outputs = super()._process(records)
        for partition, output in outputs.items():
            states, state = self._checkpointer._states, output.result.state
            states.save(partition, PROFILE, state, state.symbols, None)
        return outputs


class DeadLettersOutside(Worker):
    """Dead letters are written in a transaction of their own."""

    def _process(self, records: Sequence[ConsumerRecord]) -> dict[int, PartitionOutput]:
        outputs = super()._process(records)
        for output in outputs.values():
            letters = [r for r in output.records if r.topic == TOPICS.dead_letters]
            if letters:
                self._writer.write(letters)
            output.records[:] = [r for r in output.records if r not in letters]
        return outputs


class WithoutMembership(ConsumerGroupMember):
    """Offsets are sent without generation and member, as a consumer with `assign` does."""

    def poll(self, most: int, timeout_s: float) -> Batch | None:
        batch = super().poll(most, timeout_s)
        return (
            None
            if batch is None
            else Batch(batch.records, encode_membership(-1, CONSUMER_GROUP, ""))
        )


class MembershipAtCommit(SimulatedProducer):
    """The membership is asked for when the offsets are sent, not when the batch is read."""

    def send_offsets_to_transaction(
        self, offsets: Sequence[TopicPartition], metadata: bytes
    ) -> None:
        self._send()
        now = self._process.group_consumer
        super().send_offsets_to_transaction(
            offsets, metadata if now is None else now.consumer_group_metadata()
        )


class RetriedWhenUnknown(TransactionalProducer):
    """After an unknown outcome the batch is written again."""

    def write(
        self, records: Sequence[ProducerRecord], offsets: OffsetsToCommit | None = None
    ) -> None:
        try:
            super().write(records, offsets)
        except OutcomeUnknown:
            super().write(records, offsets)


class ProducerKept(TransactionalProducer):
    """After an unknown outcome the producer aborts and is used again."""

    def _recreate_producer(self, *, close: bool) -> None:
        del close
        assert self._producer is not None
        try:
            self._producer.abort_transaction(1.0)
        except KafkaException:
            super()._recreate_producer(close=True)


class ConnectionLostIgnored(TransactionalProducer):
    """Requests that the client sent again on another connection are ignored."""

    def _on_client_error(self, error: KafkaError) -> None:
        del error


_fresh = itertools.count()


class NewIdEachTime(TransactionalProducer):
    """A new producer has a new transactional id, so the old one's transaction is nobody's."""

    def _create_producer(self) -> Producer:
        self._config = {**self._config, "transactional.id": f"fresh-{next(_fresh)}"}
        return super()._create_producer()


class OffsetsAfterwards(TransactionalProducer):
    """First the records, then, in a transaction of their own, the offsets."""

    def write(
        self, records: Sequence[ProducerRecord], offsets: OffsetsToCommit | None = None
    ) -> None:
        if records:
            super().write(records)
        super().write([], offsets)


class UnstableOffsets(SimulatedConsumer):
    """The committed offset is taken without waiting for the transaction that is pending on it."""

    def committed(
        self, places: Sequence[TopicPartition], timeout: float = -1
    ) -> list[TopicPartition]:
        del timeout
        committed: Mapping[PartitionKey, int] = self._broker.groups[self._group].committed
        return [
            TopicPartition(p.topic, p.partition, committed.get((p.topic, p.partition), -1001))
            for p in places
        ]


class ReadUncommitted(SimulatedConsumer):
    """Everything in the log is taken for true."""

    def __init__(self, broker: Broker, process: Any, config: dict[str, Any]) -> None:
        super().__init__(broker, process, {**config, "isolation.level": "read_uncommitted"})


class StoredOnAnything(FakeStateStore):
    """A change is stored on top of whatever is there, and a state is taken whatever its offset."""

    def mark(
        self,
        partition: int,
        profile: str,
        state: PartitionState,
        names: Iterable[str],
        base_offset: int | None,
    ) -> bool:
        del base_offset
        _, stored, offsets = self._heads.get(partition, ("", PartitionState(next_offset=-1), {}))
        if stored.next_offset <= state.next_offset:
            offsets = {**offsets, **dict.fromkeys(names, state.next_offset)}
            known = {name: self._states[name][0] for name in offsets if name in self._states}
            there = replace(state, symbols={name: state.symbols[name] for name in known})
            self._heads[partition] = (profile, there, known)
        return True


@dataclass(frozen=True, slots=True)
class SwapWhenNoticed(RecordProcessor):
    """The newest model is used at once, not from its promotion's place among the candles on."""

    broker: Broker | None = None

    def process(self, result: BatchResult, record: ConsumerRecord, **options: Any) -> None:
        promotion, offset = self._newest(record.partition)
        if promotion is not None and promotion.model_version != result.state.model_version:
            model = model_of(promotion.model_version, "")
            reset = fold(result.state, promotion, offset, model, CONTEXT)
            result.state.apply(replace(reset, next_offset=result.state.next_offset))
        super(SwapWhenNoticed, self).process(result, record, **options)

    def _newest(self, group: int) -> tuple[Promotion | None, int]:
        assert self.broker is not None
        partition = self.broker.partition((TOPICS.klines, group))
        for offset in range(partition.last_stable - 1, -1, -1):
            data = partition.visible(offset)
            try:
                value = None if data is None else CODEC.decode(data.value, group)
            except BadInput:
                continue
            if isinstance(value, Promotion):
                return value, offset
        return None, 0


class LearnsFromFills(RecordProcessor):
    """A fill corrects the window, and the prediction made before it is learnt from all the same."""

    def process(self, result: BatchResult, record: ConsumerRecord, **options: Any) -> None:
        super().process(result, record, **options)
        symbol = (record.key or b"").decode()
        state = result.state.symbols.get(symbol)
        if record.value is None or b'"type":"fill"' not in record.value or state is None:
            return
        pending = state.pending and replace(state.pending, learnable=True)
        result.state.symbols[symbol] = state.replace(pending=pending)


def _learning_from_fills(_: Broker) -> RecordProcessor:
    right = build_processor()
    return LearnsFromFills(right.topic, right.codec, right.context, right.models)


def _swapping(broker: Broker) -> RecordProcessor:
    right = build_processor()
    return SwapWhenNoticed(right.topic, right.codec, right.context, right.models, broker=broker)


MUTANTS: Final[Mapping[str, ReplicaParts]] = {
    "memory kept after an abort": ReplicaParts(
        worker=MemoryKeptAfterAbort, task=StateChangedInPlace
    ),
    "memory kept across a reassignment": ReplicaParts(worker=MemoryKeptAcrossReassignment),
    "redis trusted over the committed offset": ReplicaParts(recovery=RedisOverOffset),
    "redis written before the commit and trusted": ReplicaParts(
        worker=RedisBeforeCommit, recovery=RedisOverOffset
    ),
    "redis changed on top of anything": ReplicaParts(states=StoredOnAnything),
    "offsets sent without the membership": ReplicaParts(member=WithoutMembership),
    "membership asked for at the commit": ReplicaParts(producer=MembershipAtCommit),
    "batch written again after an unknown outcome": ReplicaParts(writer=RetriedWhenUnknown),
    "producer kept after an unknown outcome": ReplicaParts(writer=ProducerKept),
    "producer kept after a lost connection": ReplicaParts(writer=ConnectionLostIgnored),
    "another transactional id for a new producer": ReplicaParts(writer=NewIdEachTime),
    "offsets committed after the records": ReplicaParts(writer=OffsetsAfterwards),
    "dead letters outside the transaction": ReplicaParts(worker=DeadLettersOutside),
    "committed offset read while a transaction is pending": ReplicaParts(consumer=UnstableOffsets),
    "uncommitted records read": ReplicaParts(consumer=ReadUncommitted),
    "nothing but the committed offset says where to go on": ReplicaParts(recovery=OffsetsAlone),
    "model swapped when noticed": ReplicaParts(processor=_swapping),
    "a fill that is learnt from": ReplicaParts(processor=_learning_from_fills),
}
