"""Shortcuts that look right. Each is the production code with one thing left out; the simulation must catch it."""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from services.predictor.recovery.replay import Recovery
from services.predictor.worker import Worker
from shared.adapters.kafka.consumer_group import Batch, ConsumerGroupMember
from shared.adapters.kafka.errors import OutcomeUnknown
from shared.adapters.kafka.producer import OffsetsToCommit, ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.errors import BadInput
from shared.core.online.partition import PartitionState, fold
from shared.core.records import Promotion
from shared.log.record_processor import BatchResult, RecordProcessor
from tests.simulation.broker import Broker, Place
from tests.simulation.clients import SimConsumer, SimProducer, membership
from tests.simulation.log import CODEC, CONTEXT, TOPICS, model_of, processor
from tests.simulation.world import GROUP, Parts
from tests.support.fakes import FakeStateStore


class MemoryKeptAfterAbort(Worker):
    """The fold changes memory in place; after an abort it is read again from the committed offset, into that memory."""

    def _folded(self, batch: Batch) -> dict[int, BatchResult]:
        folded = super()._folded(batch)
        for group, result in folded.items():
            self._memory[group] = replace(result.state, next_offset=self._memory[group].next_offset)
        return folded

    def _recover_all(self, groups: Collection[int]) -> None:
        for group in self._memory.keys() & groups:
            self._member.resume(group, self._member.committed(group) or 0)


class RedisOverOffset(Worker):
    """Goes on from where Redis stands, whatever is committed."""

    def _recovery(self, group: int, *, whole: bool) -> Recovery:
        saved = self._saved(group)
        if saved is None or whole:
            return (yield from super()._recovery(group, whole=whole))
        return PartitionState(
            saved.applied_offset,
            saved.promotion_offset,
            saved.model_version,
            dict(saved.symbols),
            saved.known_from,
        )


class MemoryKeptAcrossReassignment(Worker):
    """A group that comes back is gone on with from memory."""

    def on_revoked(self, groups: list[int]) -> None:
        del groups

    def on_assigned(self, groups: list[int]) -> None:
        super().on_assigned([g for g in groups if g not in self._memory])
        for group in groups:
            if group in self._memory:
                self._member.resume(group, self._memory[group].next_offset)


class OffsetsAlone(Worker):
    """Without a committed offset it begins at the beginning, whatever is published: auto.offset.reset=earliest."""

    def _recovery(self, group: int, *, whole: bool) -> Recovery:
        if self._member.committed(group) is None:
            yield
            return PartitionState()
        return (yield from super()._recovery(group, whole=whole))


class RedisBeforeCommit(RedisOverOffset):
    """Redis is written with the batch, before its commit, and believed."""

    def _folded(self, batch: Batch) -> dict[int, BatchResult]:
        folded = super()._folded(batch)
        for group, result in folded.items():
            self._states.save(group, self._profile, result.state, result.state.symbols, None)
        return folded


class LettersOutside(Worker):
    """Dead letters are written in a transaction of their own."""

    def _folded(self, batch: Batch) -> dict[int, BatchResult]:
        folded = super()._folded(batch)
        for group, result in folded.items():
            letters = [o for o in self._outgoing(result) if o.topic == TOPICS.dead_letters]
            if letters:
                self._writer.write(letters)
            folded[group] = replace(result, dead_letters=[])
        return folded


class WithoutMembership(ConsumerGroupMember):
    """Offsets are sent without generation and member, as a consumer with `assign` does."""

    def poll(self, most: int, timeout_s: float) -> Batch | None:
        batch = super().poll(most, timeout_s)
        return None if batch is None else Batch(batch.records, membership(-1, GROUP, ""))


class MembershipAtCommit(SimProducer):
    """The membership is asked for when the offsets are sent, not when the batch is read."""

    def send_offsets_to_transaction(
        self, offsets: Sequence[TopicPartition], metadata: bytes
    ) -> None:
        self._send()
        now = self._process.in_group
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


class UnstableOffsets(SimConsumer):
    """The committed offset is taken without waiting for the transaction that is pending on it."""

    def committed(
        self, places: Sequence[TopicPartition], timeout: float = -1
    ) -> list[TopicPartition]:
        del timeout
        committed: Mapping[Place, int] = self._broker.groups[self._group].committed
        return [
            TopicPartition(p.topic, p.partition, committed.get((p.topic, p.partition), -1001))
            for p in places
        ]


class ReadUncommitted(SimConsumer):
    """Everything in the log is taken for true."""

    def __init__(self, broker: Broker, process: Any, config: dict[str, Any]) -> None:
        super().__init__(broker, process, {**config, "isolation.level": "read_uncommitted"})


class StoredOnAnything(FakeStateStore):
    """A change is stored on top of whatever is there, and a state is taken whatever its offset."""

    def mark(
        self,
        group: int,
        profile: str,
        after: PartitionState,
        names: Iterable[str],
        since: int | None,
    ) -> bool:
        del since
        _, stored, offsets = self._heads.get(group, ("", PartitionState(next_offset=-1), {}))
        if stored.next_offset <= after.next_offset:
            offsets = {**offsets, **dict.fromkeys(names, after.next_offset)}
            known = {name: self._states[name][0] for name in offsets if name in self._states}
            there = replace(after, symbols={name: after.symbols[name] for name in known})
            self._heads[group] = (profile, there, known)
        return True


@dataclass(frozen=True, slots=True)
class SwapWhenNoticed(RecordProcessor):
    """The newest model is taken as soon as it is seen, not at its promotion's place among the candles."""

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


def _swapping(broker: Broker) -> RecordProcessor:
    right = processor()
    return SwapWhenNoticed(right.topic, right.codec, right.context, right.models, broker=broker)


MUTANTS: Final[Mapping[str, Parts]] = {
    "memory kept after an abort": Parts(loop=MemoryKeptAfterAbort),
    "memory kept across a reassignment": Parts(loop=MemoryKeptAcrossReassignment),
    "redis trusted over the committed offset": Parts(loop=RedisOverOffset),
    "redis written before the commit and trusted": Parts(loop=RedisBeforeCommit),
    "redis changed on top of anything": Parts(states=StoredOnAnything),
    "offsets sent without the membership": Parts(member=WithoutMembership),
    "membership asked for at the commit": Parts(producer=MembershipAtCommit),
    "batch written again after an unknown outcome": Parts(writer=RetriedWhenUnknown),
    "producer kept after an unknown outcome": Parts(writer=ProducerKept),
    "producer kept after a lost connection": Parts(writer=ConnectionLostIgnored),
    "another transactional id for a new producer": Parts(writer=NewIdEachTime),
    "offsets committed after the records": Parts(writer=OffsetsAfterwards),
    "dead letters outside the transaction": Parts(loop=LettersOutside),
    "committed offset read while a transaction is pending": Parts(consumer=UnstableOffsets),
    "uncommitted records read": Parts(consumer=ReadUncommitted),
    "nothing but the committed offset says where to go on": Parts(loop=OffsetsAlone),
    "model swapped when noticed": Parts(processor=_swapping),
}
