"""Replay the klines of a partition and compare the result with its published predictions."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from services.predictor.ports import TopicHistory
from services.predictor.recovery.klines_check import decode_or_none
from services.predictor.recovery.prediction_tail import PublishedTail
from services.predictor.recovery.profile_check import check_profile
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.errors import Incompatible
from shared.core.online.context import FoldOptions
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.records import Candle
from shared.core.sequence import SEQUENCE_LENGTH
from shared.log.promotion_starts import PromotionStarts
from shared.log.record_processor import BatchResult, RecordProcessor, UnknownSymbol
from shared.log.unpredicted_records import UnpredictedRecords

_SEARCH_BACK: Final = 64  # records, at first, in which to find a candle's time


@dataclass(slots=True)
class ReplayResult:
    """The state after a replay, compared with the published predictions."""

    state: PartitionState
    unproved: set[str] = field(default_factory=set)  # symbols whose state may be another
    missing: list[int] = field(default_factory=list)  # source offsets of lost predictions

    @property
    def is_proved(self) -> bool:
        """Whether this is the state that everything published came from."""
        return not self.unproved and not self.missing


class Replay:
    """Fold the klines of a partition again.

    A promotion resets each symbol to the promoted model and its last candles. So a replay may
    start one sequence before the last promotion, with nothing known: by the promotion each symbol
    that trades has its full sequence again. A symbol that does not then arrive at its last
    published prediction, byte for byte, is unproved, and the partition is replayed from its start.
    """

    def __init__(
        self,
        processor: RecordProcessor,
        klines: TopicHistory,
        published: PublishedTail,
        partition: int,
    ) -> None:
        """Prepare to replay a partition.

        Args:
            processor: folds the klines.
            klines: the topic to read.
            published: the predictions to compare with.
            partition: the partition.
        """
        self._processor, self._klines = processor, klines
        self._published, self._partition = published, partition

    def run(
        self, base: PartitionState, known_from: int, end: int
    ) -> Generator[None, None, ReplayResult]:
        """Replay from a state up to, not including, an offset; yield after each block.

        Args:
            base: the state to start from.
            known_from: symbols without a record since this offset are unknown to the result.
            end: the offset to stop at.

        Raises:
            Incompatible: klines that are needed were deleted, or another numeric profile predicts
                from `end` on.
            Unavailable: Kafka does not answer.
        """
        self._check_not_deleted(base.next_offset, end)
        result, unpredicted = BatchResult(base), UnpredictedRecords(self._processor)
        latest: dict[str, Prediction] = {}
        proved, unproved = set(base.symbols), set[str]()
        expected = self._expected(base, end)
        for block in self._klines.read(self._partition, base.next_offset, end):
            try:
                yield from self._process(result, unpredicted.process(result, block), expected)
            except UnknownSymbol as symbol:
                return ReplayResult(base, {str(symbol)})
            for prediction in result.predictions:
                latest[prediction.symbol] = prediction
                published = expected.pop(prediction.source_offset, None)
                if published is not None:
                    is_same = encode_prediction(published) == encode_prediction(prediction)
                    (proved if is_same else unproved).add(prediction.symbol)
            proved |= result.ended  # whatever they were before
            result.clear_output()
            yield
        unproved |= {published.symbol for published in expected.values()}
        unpredicted.finish(result)
        state = replace(result.state, next_offset=end, known_from=known_from)
        check_profile(state, self._processor, self._klines, self._partition)
        if known_from:
            # Without a comparison only a full sequence proves that nothing before it is missing.
            unproved |= _with_short_sequence(state) - proved
        missing = [p.source_offset for p in latest.values() if self._published.lacks(p)]
        return ReplayResult(state, unproved, missing)

    def base_before_promotion(self) -> PartitionState:
        """Return an empty state one sequence before the last promotion that was predicted under."""
        newest = self._published.newest
        if newest is None:
            return PartitionState()
        time_ms = self._time_before(newest.promotion_offset)
        span_ms = (SEQUENCE_LENGTH + 1) * self._processor.context.interval_ms
        offset = self._klines.offset_at(self._partition, time_ms - span_ms)
        start = min(newest.promotion_offset, offset)
        return PartitionState(start, numeric_profile=newest.numeric_profile)

    def _process(
        self,
        result: BatchResult,
        records: Sequence[ConsumerRecord],
        expected: Mapping[int, Prediction],
    ) -> Iterator[None]:
        for record in records:
            starts = PromotionStarts.of_record(self._processor, result.state, record)
            while starts is not None and starts.prepare_next(result.state):
                yield
            # A digest is a quarter of the work, and only what is compared needs it.
            options = FoldOptions(jacobian=True, digest=record.offset in expected)
            self._processor.process(result, record, options=options)

    def _expected(self, base: PartitionState, end: int) -> dict[int, Prediction]:
        """Return the published predictions that the replay must reproduce, by source offset."""
        start, newest = base.next_offset, self._published.newest
        profile = self._processor.context.numeric_profile
        # From an empty state in the middle of the log, states are right only after the promotion.
        is_partial = newest is not None and not base.symbols and start > 0
        promotion = newest.promotion_offset if newest is not None and is_partial else 0
        return {
            p.source_offset: p
            for p in self._published.last.values()
            if start <= p.source_offset < end
            and p.promotion_offset >= promotion
            and p.numeric_profile == profile
        }

    def _check_not_deleted(self, start: int, end: int) -> None:
        first = self._klines.ends(self._partition)[0]
        if start >= first or start == end:
            return
        message = (
            f"symbol group {self._partition}: to rebuild it, klines from offset {start} on are"
            f" needed; they begin at {first}, those before were deleted: restore the topic as it"
            " was, or start a new deployment under another TOPIC_PREFIX"
        )
        raise Incompatible(message)

    def _time_before(self, offset: int) -> int:
        """Return the time (ms) of a candle shortly before an offset; 0 if there is none."""
        length = _SEARCH_BACK
        while True:
            start = max(0, offset - length)
            for block in self._klines.read(self._partition, start, offset):
                times_ms = [r.timestamp_ms for r in block if self._is_candle(r)]
                if times_ms:
                    return min(times_ms)
            if start == 0:
                return 0
            length *= 8

    def _is_candle(self, record: ConsumerRecord) -> bool:
        return isinstance(decode_or_none(self._processor.codec, record), Candle)


def _with_short_sequence(state: PartitionState) -> set[str]:
    return {name for name, s in state.symbols.items() if len(s.sequence) < SEQUENCE_LENGTH}
