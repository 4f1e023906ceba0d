"""Where to go on. Truth order: committed offset, then log, then Redis."""

import logging
from collections.abc import Generator
from dataclasses import dataclass, field, replace

from services.predictor.ports import TopicHistory
from services.predictor.recovery.prediction_tail import (
    PublishedTail,
    check_origin,
    decode_or_none,
    first_profile,
    next_offset,
    read_prediction_tail,
)
from shared.adapters.redis_state_store import StateSnapshot
from shared.adapters.schemas import encode_prediction
from shared.core.errors import Incompatible, Unavailable
from shared.core.online.context import FoldOptions
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.records import Candle, Promotion
from shared.core.sequence import SEQUENCE_LENGTH
from shared.log.record_processor import BatchResult, RecordProcessor, UnknownSymbol

log = logging.getLogger("ulstm")

Recovery = Generator[None, None, PartitionState]
"""Yields after each block it has read; returns the group to go on with."""


def from_saved(
    saved: StateSnapshot | None, at: int, published: PublishedTail, profile: str
) -> PartitionState | None:
    """Return the group that Redis holds for a numeric profile, if it is a fold of what is committed."""
    if saved is None or saved.applied_offset > at:
        return None
    for symbol, prediction in published.last.items():
        if prediction.source_offset < saved.applied_offset and not _follows(
            saved, symbol, prediction
        ):
            return None
    for symbol, state in saved.symbols.items():
        pending = state.pending
        if (
            pending
            and symbol not in published.last
            and published.reaches_back_to(pending.open_time_ms)
        ):
            return None
    return PartitionState(
        saved.applied_offset,
        saved.promotion_offset,
        saved.model_version,
        dict(saved.symbols),
        saved.known_from,
        profile,
    )


def _follows(saved: StateSnapshot, symbol: str, prediction: Prediction) -> bool:
    """Say whether a saved state is one that came out of the symbol's last prediction."""
    state = saved.symbols.get(symbol)
    if state is None or state.pending is None:
        return state is not None and saved.promotion_offset != prediction.promotion_offset
    return (
        state.pending.open_time_ms == prediction.open_time_ms
        and state.pending.change == prediction.predicted_change
        and state.scores == prediction.scores
    )


class Recoveries:
    """Brings symbol groups back to where they were, publishing nothing."""

    def __init__(
        self, processor: RecordProcessor, klines: TopicHistory, predictions: TopicHistory
    ) -> None:
        """Take what to fold with and what to read."""
        self._processor, self._klines, self._predictions = processor, klines, predictions

    def recovery(
        self, group: int, committed: int | None, saved: StateSnapshot | None, *, whole: bool = False
    ) -> Recovery:
        """Return a group at the offset to go on from.

        That is the committed one, or the one after the newest prediction if that is later. It is earlier than the
        committed one if the predictions lost their end: then what is missing is published again, the same bytes.

        Args:
            group: the symbol group.
            committed: the consumer group's committed offset, which no open transaction may still change.
            saved: what Redis holds.
            whole: read the klines from their beginning.

        Raises:
            Incompatible: klines and predictions do not belong together, or another numeric profile predicts there.
            Unavailable: Kafka does not answer, or a transaction on the predictions is open.
        """
        self._refuse_added(group)
        published = read_prediction_tail(self._predictions, group)
        at = next_offset(committed, published, self._klines.ends(group), group)
        check_origin(published, self._klines, self._processor.codec, group)
        profile = self._processor.context.numeric_profile
        base = None if whole else from_saved(saved, at, published, profile)
        if base is not None:
            found = yield from Replay(self._processor, self._klines, published, group).fold(
                base, base.known_from, at
            )
            if found.is_proved:
                return found.state
        if at > published.next_offset:
            published = self._settled(group)
            at = max(at, published.next_offset)
        return (yield from self._rebuilt(group, published, at, whole=whole))

    def _refuse_added(self, group: int) -> None:
        """Others go on: partitions that were added cannot be taken away again, and nothing belongs into them."""
        groups = self._processor.codec.partitions
        if group >= groups:
            message = (
                f"{self._processor.topic} has a partition {group}, SYMBOL_GROUPS is {groups}: partitions were added, which"
                " a live topic does not allow; make it anew from a backup, or start a new deployment under another"
                " TOPIC_PREFIX"
            )
            raise Unavailable(message)

    def _settled(self, group: int) -> PublishedTail:
        """Read what was published once more, when nothing that was committed can still be hidden."""
        if not self._predictions.is_settled(group):
            message = f"symbol group {group}: a transaction on its predictions is open; its end is awaited"
            raise Unavailable(message)
        return read_prediction_tail(self._predictions, group)

    def _beginning(self, group: int) -> PartitionState:
        """Return a group before its first record."""
        return PartitionState(numeric_profile=first_profile(self._predictions, group))

    def _rebuilt(self, group: int, published: PublishedTail, at: int, *, whole: bool) -> Recovery:
        """Return the group at an offset, from the log alone."""
        replay = Replay(self._processor, self._klines, published, group)
        start = self._beginning(group) if whole else replay.shortly_before()
        found = yield from replay.fold(start, start.next_offset, at)
        if not found.is_proved and start.next_offset:
            found = yield from replay.fold(self._beginning(group), 0, at)
        first_missing = min(found.missing, default=at)
        if found.doubts or first_missing < published.next_offset:
            raise _other_predictions(group, found)
        if first_missing == at:
            return found.state
        at = published.next_offset
        log.warning(
            "symbol group %d: its predictions end before the one from offset %d that was committed;"
            " publishing again from offset %d on",
            group,
            first_missing,
            at,
        )
        return (yield from self._rebuilt(group, published, at, whole=whole))


@dataclass(slots=True)
class ReplayResult:
    """A group after a replay, and how it compares with what was published."""

    state: PartitionState
    doubts: set[str] = field(default_factory=set)  # symbols that may not be what they were
    missing: list[int] = field(default_factory=list)  # offsets whose predictions are not there

    @property
    def is_proved(self) -> bool:
        """Whether this is the state that everything published came from."""
        return not self.doubts and not self.missing


class Replay:
    """Folds a group's klines again and compares with its published predictions.

    It needs to start only one sequence before the last promotion, where a state follows from its candles alone; a
    symbol that this does not bring back to its last published prediction, to the byte, is in doubt.
    """

    def __init__(
        self, processor: RecordProcessor, klines: TopicHistory, published: PublishedTail, group: int
    ) -> None:
        """Take what to fold with, what to read and what the result must agree with."""
        self._processor, self._klines, self._published, self._group = (
            processor,
            klines,
            published,
            group,
        )

    def fold(
        self, base: PartitionState, known_from: int, at: int
    ) -> Generator[None, None, ReplayResult]:
        """Fold from a base up to an offset.

        Raises:
            Incompatible: the klines do not go back to the base, or another numeric profile predicts at the offset.
        """
        self._refuse_deleted(base.next_offset, at)
        folded = BatchResult(base)
        latest: dict[str, Prediction] = {}
        proved, doubts = set(base.symbols), set[str]()
        expected = self._expected(base, at)
        for block in self._klines.read(self._group, base.next_offset, at):
            for record in block:
                try:
                    self._processor.process(
                        folded,
                        record,
                        options=FoldOptions(jacobian=True, digest=record.offset in expected),
                    )
                except UnknownSymbol as error:
                    return ReplayResult(base, {str(error)})
            latest.update({p.symbol: p for p in folded.predictions})
            for prediction in folded.predictions:
                published = expected.pop(prediction.source_offset, None)
                if published is not None:
                    same = encode_prediction(published) == encode_prediction(prediction)
                    (proved if same else doubts).add(prediction.symbol)
            folded.clear_output()
            yield
        doubts |= {published.symbol for published in expected.values()}
        state = replace(folded.state, next_offset=at, known_from=known_from)
        self._refuse_other_profile(state)
        if known_from:
            full = {s for s, one in state.symbols.items() if len(one.sequence) >= SEQUENCE_LENGTH}
            doubts |= set(state.symbols) - full - proved
        missing = [p.source_offset for p in latest.values() if self._published.lacks(p)]
        return ReplayResult(state, doubts, missing)

    def shortly_before(self) -> PartitionState:
        """Return an empty group one sequence before the last promotion that led to a prediction."""
        newest = self._published.newest
        if newest is None:
            return PartitionState()
        time_ms = self._time_before(newest.promotion_offset)
        span = (SEQUENCE_LENGTH + 1) * self._processor.context.interval_ms
        start = min(newest.promotion_offset, self._klines.offset_at(self._group, time_ms - span))
        return PartitionState(start, numeric_profile=newest.numeric_profile)

    def _expected(self, base: PartitionState, at: int) -> dict[int, Prediction]:
        """Return the predictions, by source offset, that must come out of folding from a base up to an offset."""
        start, newest = base.next_offset, self._published.newest
        profile = self._processor.context.numeric_profile
        promotion = 0 if newest is None or base.symbols or not start else newest.promotion_offset
        return {
            p.source_offset: p
            for p in self._published.last.values()
            if start <= p.source_offset < at
            and p.promotion_offset >= promotion
            and p.numeric_profile == profile
        }

    def _refuse_deleted(self, start: int, at: int) -> None:
        first = self._klines.ends(self._group)[0]
        if start >= first or start == at:
            return
        message = (
            f"symbol group {self._group}: to rebuild it, klines from offset {start} on are needed; they begin at"
            f" {first}, what lay before was deleted: restore the topic as it was, or start a new deployment under"
            " another TOPIC_PREFIX"
        )
        raise Incompatible(message)

    def _refuse_other_profile(self, group: PartitionState) -> None:
        """Never mix predictions of different arithmetic: where another profile predicts, only a promotion ends that.

        Raises:
            Incompatible: another profile predicts from the group's next record.
        """
        ours = self._processor.context.numeric_profile
        if self._processor.context.predicts(group.numeric_profile):
            return
        first, promotion = self._next_own_promotion(group.next_offset)
        if promotion is not None and promotion == first:
            return
        until = (
            "; promote a model with this version (`ulstm models promote VERSION`), let the other version go up to that"
            " promotion, then start this one"
            if promotion is None
            else f" until offset {promotion}, where this one takes over: let it go up to there, then start this one"
        )
        message = (
            f"symbol group {self._group}: from offset {group.next_offset} on numeric profile {group.numeric_profile}"
            f" predicts, this is {ours}: run the version that has {group.numeric_profile}{until}"
        )
        raise Incompatible(message)

    def _next_own_promotion(self, start: int) -> tuple[int | None, int | None]:
        """Return the offset of the first record from `start` on, and of the first promotion of this profile."""
        first = None
        for block in self._klines.read(self._group, start):
            for record in block:
                first = record.offset if first is None else first
                value = decode_or_none(self._processor.codec, record)
                if (
                    isinstance(value, Promotion)
                    and value.numeric_profile == self._processor.context.numeric_profile
                ):
                    return first, record.offset
        return first, None

    def _time_before(self, offset: int) -> int:
        """Return the time of a candle shortly before an offset."""
        back = 64
        while True:
            start = max(0, offset - back)
            for block in self._klines.read(self._group, start, offset):
                times = [
                    r.timestamp_ms
                    for r in block
                    if isinstance(decode_or_none(self._processor.codec, r), Candle)
                ]
                if times:
                    return min(times)
            if start == 0:
                return 0
            back *= 8


def _other_predictions(group: int, found: ReplayResult) -> Incompatible:
    what = (
        f"replaying its klines does not give what was published for {', '.join(sorted(found.doubts)[:5])}"
        if found.doubts
        else f"the prediction from offset {min(found.missing)} is missing, later ones are there"
    )
    return Incompatible(
        f"symbol group {group}: {what}; its topics or models were changed from outside: restore them, or"
        " start a new deployment under another TOPIC_PREFIX"
    )
