"""Shortcuts that look right. Each is the production code with one thing left out; the simulation must catch it."""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from services.predictor.loop import Loop
from services.predictor.recovery import Recovery
from shared.adapters.folding import Folded, Folder
from shared.adapters.kafka.failures import OutcomeUnknown
from shared.adapters.kafka.group import Batch, GroupMember
from shared.adapters.kafka.reader import Received
from shared.adapters.kafka.writer import Outgoing, Progress, TransactionalWriter
from shared.core.candle import Promotion
from shared.core.errors import BadInput
from shared.core.fold import GroupState, fold
from tests.fakes import FakeStates
from tests.simulation.broker import Broker, Place
from tests.simulation.clients import SimConsumer, SimProducer, membership
from tests.simulation.log import CODEC, DEPLOYMENT, TOPICS, folder, model_of
from tests.simulation.world import GROUP, Parts


class MemoryKeptAfterAbort(Loop):
    """The fold changes memory in place; after an abort it is read again from the committed offset, into that memory."""

    def _folded(self, batch: Batch) -> dict[int, Folded]:
        folded = super()._folded(batch)
        for group, result in folded.items():
            self._memory[group] = replace(result.group, next_offset=self._memory[group].next_offset)
        return folded

    def _recover_all(self, groups: Collection[int]) -> None:
        for group in self._memory.keys() & groups:
            self._member.go_on(group, self._member.committed(group) or 0)


class RedisOverOffset(Loop):
    """Goes on from where Redis stands, whatever is committed."""

    def _recovery(self, group: int, *, whole: bool) -> Recovery:
        saved = self._saved(group)
        if saved is None or whole:
            return (yield from super()._recovery(group, whole=whole))
        return GroupState(saved.watermark, saved.promotion_offset, saved.model_version, saved.symbols, saved.known_from)


class MemoryKeptAcrossReassignment(Loop):
    """A group that comes back is gone on with from memory."""

    def lost(self, groups: list[int]) -> None:
        del groups

    def assigned(self, groups: list[int]) -> None:
        super().assigned([g for g in groups if g not in self._memory])
        for group in groups:
            if group in self._memory:
                self._member.go_on(group, self._memory[group].next_offset)


class OffsetsAlone(Loop):
    """Without a committed offset it begins at the beginning, whatever is published: auto.offset.reset=earliest."""

    def _recovery(self, group: int, *, whole: bool) -> Recovery:
        if self._member.committed(group) is None:
            yield
            return GroupState()
        return (yield from super()._recovery(group, whole=whole))


class RedisBeforeCommit(RedisOverOffset):
    """Redis is written with the batch, before its commit, and believed."""

    def _folded(self, batch: Batch) -> dict[int, Folded]:
        folded = super()._folded(batch)
        for group, result in folded.items():
            self._states.save(group, self._profile, result.group, result.group.symbols, None)
        return folded


class LettersOutside(Loop):
    """Dead letters are written in a transaction of their own."""

    def _folded(self, batch: Batch) -> dict[int, Folded]:
        folded = super()._folded(batch)
        for group, result in folded.items():
            letters = [o for o in self._outgoing(result) if o.topic == TOPICS.dead_letters]
            if letters:
                self._writer.write(letters)
            folded[group] = replace(result, dead_letters=[])
        return folded


class WithoutMembership(GroupMember):
    """Offsets are sent without generation and member, as a consumer with `assign` does."""

    def poll(self, most: int, timeout_s: float) -> Batch | None:
        batch = super().poll(most, timeout_s)
        return None if batch is None else Batch(batch.records, membership(-1, GROUP, ""))


class MembershipAtCommit(SimProducer):
    """The membership is asked for when the offsets are sent, not when the batch is read."""

    def send_offsets_to_transaction(self, offsets: Sequence[TopicPartition], metadata: bytes) -> None:
        self._send()
        now = self._process.in_group
        super().send_offsets_to_transaction(offsets, metadata if now is None else now.consumer_group_metadata())


class RetriedWhenUnknown(TransactionalWriter):
    """After an unknown outcome the batch is written again."""

    def write(self, records: Sequence[Outgoing], progress: Progress | None = None) -> None:
        try:
            super().write(records, progress)
        except OutcomeUnknown:
            super().write(records, progress)


class ProducerKept(TransactionalWriter):
    """After an unknown outcome the producer aborts and is used again."""

    def _renew(self, producer: Producer) -> None:
        try:
            producer.abort_transaction(1.0)
        except KafkaException:
            super()._renew(producer)

    def _abandon(self) -> NoReturn:
        assert self._producer is not None
        self._renew(self._producer)
        raise OutcomeUnknown("no answer")


class ConnectionLostIgnored(TransactionalWriter):
    """What the client did over on another connection is of no concern."""

    def _disturb(self, error: KafkaError) -> None:
        del error


_fresh = itertools.count()


class NewIdEachTime(TransactionalWriter):
    """A new producer has a new transactional id, so the old one's transaction is nobody's."""

    def _begun(self) -> Producer:
        self._config = {**self._config, "transactional.id": f"fresh-{next(_fresh)}"}
        return super()._begun()


class OffsetsAfterwards(TransactionalWriter):
    """First the records, then, in a transaction of their own, the offsets."""

    def write(self, records: Sequence[Outgoing], progress: Progress | None = None) -> None:
        if records:
            super().write(records)
        super().write([], progress)


class UnstableOffsets(SimConsumer):
    """The committed offset is taken without waiting for the transaction that is pending on it."""

    def committed(self, places: Sequence[TopicPartition], timeout: float = -1) -> list[TopicPartition]:
        del timeout
        committed: Mapping[Place, int] = self._broker.groups[self._group].committed
        return [TopicPartition(p.topic, p.partition, committed.get((p.topic, p.partition), -1001)) for p in places]


class ReadUncommitted(SimConsumer):
    """Everything in the log is taken for true."""

    def __init__(self, broker: Broker, process: Any, config: dict[str, Any]) -> None:
        super().__init__(broker, process, {**config, "isolation.level": "read_uncommitted"})


class StoredOnAnything(FakeStates):
    """A change is stored on top of whatever is there, and a state is taken whatever its offset."""

    def mark(self, group: int, profile: str, after: GroupState, names: Iterable[str], since: int | None) -> bool:
        del since
        _, stored, offsets = self._heads.get(group, ("", GroupState(next_offset=-1), {}))
        if stored.next_offset <= after.next_offset:
            offsets = {**offsets, **dict.fromkeys(names, after.next_offset)}
            known = {name: self._states[name][0] for name in offsets if name in self._states}
            there = replace(after, symbols={name: after.symbols[name] for name in known})
            self._heads[group] = (profile, there, known)
        return True


@dataclass(frozen=True, slots=True)
class SwapWhenNoticed(Folder):
    """The newest model is taken as soon as it is seen, not at its promotion's place among the candles."""

    broker: Broker | None = None

    def fold(self, folded: Folded, record: Received, **options: Any) -> None:
        promotion, offset = self._newest(record.partition)
        if promotion is not None and promotion.model_version != folded.group.model_version:
            model = model_of(promotion.model_version, "")
            reset, _ = fold(folded.group, promotion, offset, model, DEPLOYMENT)
            folded.group = replace(reset, next_offset=folded.group.next_offset)
        super(SwapWhenNoticed, self).fold(folded, record, **options)

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


def _swapping(broker: Broker) -> Folder:
    right = folder()
    return SwapWhenNoticed(right.topic, right.codec, right.deployment, right.models, broker=broker)


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
    "model swapped when noticed": Parts(folder=_swapping),
}
