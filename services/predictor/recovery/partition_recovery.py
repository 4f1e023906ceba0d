"""Restore the state of a partition."""

import logging
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from typing import Literal

from services.predictor.ports import ConsumerGroup, StateLoading, StateStore, TopicHistory
from services.predictor.recovery.dead_letter_tail import offset_after_last_dead_letter
from services.predictor.recovery.klines_check import check_klines_match, choose_next_offset
from services.predictor.recovery.open_transaction import OpenTransactions
from services.predictor.recovery.prediction_tail import (
    PublishedTail,
    read_prediction_tail,
    skip_advice,
)
from services.predictor.recovery.replay import Replay, ReplayResult
from services.predictor.recovery.snapshot_check import is_committed
from shared.core.errors import Incompatible, Unavailable
from shared.core.online.partition import PartitionState
from shared.log.record_processor import RecordProcessor

log = logging.getLogger(__name__)

StateSource = Literal["redis", "log"]


@dataclass(frozen=True, slots=True)
class RestoredState:
    """The state to continue with; `redis` if a snapshot of it shortened the replay."""

    state: PartitionState
    source: StateSource


Restoration = Generator[None, None, RestoredState]
"""Yields after each block of klines; returns the state to continue with."""


@dataclass(frozen=True, slots=True)
class PartitionRecovery:
    """Restore partitions by replaying the log, publishing nothing.

    The sources are believed in this order:

    1. The committed offset says where to continue. Reading it waits for a transaction that is
       pending on it, so what a predecessor left unfinished is decided first.
    2. The log says what the state is: the klines up to that offset are folded again, and must give
       the predictions that were published, byte for byte.
    3. Redis only shortens the replay. A snapshot is used where it fits the log, and is proved by
       the same comparison.
    """

    processor: RecordProcessor
    consumer_group: ConsumerGroup
    klines: TopicHistory
    predictions: TopicHistory
    dead_letters: TopicHistory
    states: StateStore
    open_transactions: OpenTransactions
    skipped: Callable[[int], Collection[int]]  # partition -> offsets of foreign predictions

    def restore(self, partition: int, *, from_beginning: bool = False) -> Restoration:
        """Restore a partition to the offset to continue from.

        That is the committed offset, or the one after the newest prediction if that is later. It
        is earlier than the committed offset if predictions at the end of their topic were lost:
        they are then published again, the same bytes.

        Args:
            partition: the partition.
            from_beginning: replay all klines, for a symbol whose past a shorter replay missed.

        Raises:
            Incompatible: klines and predictions contradict each other, or another numeric profile
                predicts from here.
            Unavailable: Kafka does not answer, or a transaction on the predictions is open.
        """
        # 1. A predecessor that was killed within a transaction would hold all of it back.
        yield from self.open_transactions.end(partition)
        # 2. Where to continue. Predictions prove an offset too: committed ones can be deleted.
        committed = self._committed_offset(partition)
        snapshot = None if from_beginning else (yield from self._load_snapshot(partition))
        published = self._read_tail(partition)
        ends = self.klines.ends(partition)
        next_offset = choose_next_offset(committed, published, ends, partition)
        # 3. A topic that was recreated would be folded without an error: compare it first.
        check_klines_match(published, self.klines, self.processor.codec, partition)
        # 4. The short way: a snapshot, and the few records since.
        if snapshot is not None and is_committed(snapshot, next_offset, published):
            log.info("symbol group %d: saved at offset %d", partition, snapshot.next_offset)
            replay = Replay(self.processor, self.klines, published, partition)
            result = yield from replay.run(snapshot, snapshot.known_from, next_offset)
            if result.is_proved:
                return RestoredState(result.state, "redis")
        elif not from_beginning:
            held = "nothing of use" if snapshot is None else f"offset {snapshot.next_offset}"
            log.info("symbol group %d: Redis has %s; reading the log", partition, held)
        # 5. The log alone. A prediction that seems to be missing may still be in an open
        #    transaction; only once there is none is it known to be lost.
        if next_offset > published.next_offset:
            published = self._read_settled_tail(partition)
            next_offset = max(next_offset, published.next_offset)
        return (yield from self._rebuild(partition, published, next_offset, from_beginning))

    def _committed_offset(self, partition: int) -> int | None:
        committed = self.consumer_group.committed(partition)
        if committed is not None:
            return committed
        # A new consumer group, or one whose offsets were deleted. Rejected records lead to no
        # prediction: without this, those after the last prediction would be rejected twice.
        topic = self.processor.topic
        end = self.klines.ends(partition)[1]
        return offset_after_last_dead_letter(self.dead_letters, topic, partition, end)

    def _load_snapshot(self, partition: int) -> StateLoading:
        try:
            profile = self.processor.context.numeric_profile
            return (yield from self.states.load_in_blocks(partition, profile))
        except Unavailable as error:
            log.warning("%s; rebuilding symbol group %d from the log", error, partition)
            return None

    def _read_settled_tail(self, partition: int) -> PublishedTail:
        if not self.predictions.is_settled(partition):
            message = (
                f"symbol group {partition}: a transaction on its predictions is open; waiting for"
                " its end"
            )
            raise Unavailable(message)
        return self._read_tail(partition)

    def _read_tail(self, partition: int) -> PublishedTail:
        return read_prediction_tail(self.predictions, partition, self.skipped(partition))

    def _rebuild(
        self, partition: int, published: PublishedTail, next_offset: int, from_beginning: bool
    ) -> Restoration:
        replay = Replay(self.processor, self.klines, published, partition)
        # 1. From shortly before the last promotion, which bounds the replay: see `Replay`.
        base = PartitionState() if from_beginning else replay.base_before_promotion()
        result = yield from replay.run(base, base.next_offset, next_offset)
        # 2. If that does not prove every symbol: from the first record.
        if not result.is_proved and base.next_offset:
            result = yield from replay.run(PartitionState(), 0, next_offset)
        # 3. Predictions may be missing at the end of their topic, where Kafka can lose records in
        #    a power cut. Differing or missing in the middle, somebody changed the topics.
        first_missing = min(result.missing, default=next_offset)
        if result.unproved or first_missing < published.next_offset:
            raise _contradiction(partition, result, published)
        if first_missing == next_offset:
            return RestoredState(result.state, "log")
        # 4. Go back to the last prediction that is there, and publish the rest again.
        log.warning(
            "symbol group %d: the predictions from offset %d on were committed and are lost;"
            " publishing them again from offset %d on",
            partition,
            first_missing,
            published.next_offset,
        )
        return (
            yield from self._rebuild(partition, published, published.next_offset, from_beginning)
        )


def _contradiction(partition: int, result: ReplayResult, published: PublishedTail) -> Incompatible:
    what = (
        "replaying its klines does not give what was published for"
        f" {', '.join(sorted(result.unproved)[:5])}"
        if result.unproved
        else f"the prediction from offset {min(result.missing)} is missing, later ones are there"
    )
    places = [published.places[one] for one in sorted(result.unproved) if one in published.places]
    advice = f" ({skip_advice(partition, places[0])})" if places else ""
    return Incompatible(
        f"symbol group {partition}: {what}; its topics or models were changed from outside:"
        f" restore them{advice}, or start a new deployment under another TOPIC_PREFIX"
    )
