"""Find the span of the topics that an audit reads, and the predictors' committed offsets."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from typing import Final

from services.cli.audit.span import PartitionSpan
from services.cli.topic_checks import check_partitions
from shared.adapters.env_settings import PredictorGroupSettings
from shared.adapters.kafka.backwards_reader import await_settled
from shared.adapters.kafka.group_inspector import GroupInspector
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas.klines import KlineCodec
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.errors import BadInput, BadSetting, Incompatible
from shared.core.online.prediction import Prediction
from shared.core.records import Candle, Promotion, Record
from shared.core.sequence import SEQUENCE_LENGTH
from shared.log.klines_reader import KlinesReader
from shared.log.predictions_reader import PredictionsReader, find_source

# Intervals before a promotion in which the candles that a predictor keeps of a symbol are looked
# for: twice as many as it keeps, so that a symbol may lack half of them.
_INTERVALS_BEFORE: Final = 2 * SEQUENCE_LENGTH
_NEAR: Final = 256  # records in which to find a candle's time, or a prediction


def find_spans(
    settings: PredictorGroupSettings, partitions: Collection[int], from_ms: int | None
) -> list[PartitionSpan]:
    """Return the spans of some partitions to audit: everything that is committed by now.

    Args:
        settings: of the deployment.
        partitions: the partitions.
        from_ms: begin at the promotion that was in force at this time; None: at the first record.

    Raises:
        Incompatible: a topic is missing, is not this deployment's, or has lost its beginning or
            its end.
        Unavailable: Kafka does not answer, or a transaction stays open.
    """
    kafka, topics = settings.kafka, settings.topics
    with ExitStack() as stack:
        klines = stack.enter_context(KlinesReader(kafka, topics))
        predictions = stack.enter_context(PredictionsReader(kafka, topics))
        dead_letters = stack.enter_context(Reader(kafka, topics.dead_letters))
        check_partitions(kafka, topics.klines, klines, topics.partitions)
        check_partitions(kafka, topics.predictions, predictions, topics.partitions)
        check_partitions(kafka, topics.dead_letters, dead_letters, 1)
        # 1. The committed offsets first, and then the predictions once every transaction is
        #    settled: those that were committed together with the offsets can then be read.
        # 2. The klines later: those that the predictions were made from are among them.
        # 3. Dead letters last, for the same reason as the predictions.
        committed = read_committed(settings)
        await_settled(predictions, partitions)
        ends = {one: predictions.ends(one)[1] for one in partitions}
        search = _SpanSearch(klines, predictions, settings.codec)
        spans = [search.find(one, ends[one], committed.get(one), from_ms) for one in partitions]
        await_settled(dead_letters, [0])
        _check_beginning(dead_letters, 0, 0)
    return spans


def read_committed(settings: PredictorGroupSettings) -> Mapping[int, int]:
    """Return the offsets that the predictors' group has committed, by partition.

    Raises:
        Unavailable: Kafka does not answer.
    """
    inspector = GroupInspector(settings.kafka, settings.predictor_group, settings.topics.klines)
    found = inspector.offsets(settings.symbol_groups)
    return {one.partition: one.committed for one in found if one.committed is not None}


def _check_beginning(reader: Reader, partition: int, start: int) -> None:
    first = reader.ends(partition)[0]
    if first > start:
        raise Incompatible(
            f"{reader.topic}/{partition} begins at offset {first}: the records before it were"
            " deleted; restore them, or audit what came after a later promotion (--from)"
        )


def check_wanted(settings: PredictorGroupSettings, partitions: Collection[int] | None) -> list[int]:
    """Return the partitions to audit.

    Raises:
        BadSetting: there is no such partition.
    """
    last = settings.symbol_groups - 1
    wanted = sorted(set(range(last + 1) if partitions is None else partitions))
    for partition in wanted:
        if not 0 <= partition <= last:
            raise BadSetting(
                f"--partition is {partition}; this deployment has partitions 0 to {last}"
            )
    return wanted


class _SpanSearch:
    """Searches where the audit of a partition begins and ends.

    A promotion gives each symbol a state that follows from the candles that a predictor keeps and
    from the model alone. So from a promotion on everything can be derived again.
    """

    def __init__(
        self, klines: KlinesReader, predictions: PredictionsReader, codec: KlineCodec
    ) -> None:
        """Take the topics."""
        self._klines, self._predictions, self._codec = klines, predictions, codec

    def find(
        self, partition: int, end: int, committed: int | None, from_ms: int | None
    ) -> PartitionSpan:
        """Return a partition's span; see `find_spans`.

        Args:
            partition: the partition.
            end: of its predictions.
            committed: the offset that the predictors' group has committed.
            from_ms: the time to begin at; None: at the first record.
        """
        klines_end = self._klines.ends(partition)[1]
        if committed is not None and committed > klines_end:
            raise Incompatible(
                f"{self._klines.topic}/{partition} ends at offset {klines_end}, and the predictors"
                f" have read it up to {committed}: its last records were lost, or the topic was"
                " recreated; restore it as it was"
            )
        span = PartitionSpan(partition, range(klines_end), range(end), committed)
        if from_ms is not None:
            span = self._begin_at(from_ms, span)
        _check_beginning(self._klines, partition, span.klines.start)
        _check_beginning(self._predictions, partition, span.predictions.start)
        return span

    def _begin_at(self, time_ms: int, span: PartitionSpan) -> PartitionSpan:
        """Return the span from the promotion on that was in force at a time.

        It is that of the first prediction since, or of the last one; without predictions, the whole
        partition.
        """
        partition = span.partition
        promotion = self._promotion_in_force(time_ms, span)
        if promotion is None:
            return span
        needed_ms = self._time_before(promotion, partition)
        start = min(promotion, self._klines.offset_at(partition, needed_ms))
        return replace(
            span,
            klines=range(start, span.klines.stop),
            predictions=range(self._first_after(promotion, span), span.predictions.stop),
            promotion_offset=promotion,
        )

    def _promotion_in_force(self, time_ms: int, span: PartitionSpan) -> int | None:
        """Return the offset of a promotion; None if no prediction names one that is there."""
        start = self._predictions.offset_at(span.partition, time_ms)
        newest = None
        for _, newest in self._predictions_from(start, span):
            if newest.open_time_ms >= time_ms:
                break
        newest = newest or self._last_prediction(span)
        if newest is None or newest.promotion_offset >= span.klines.stop:
            return None
        at = newest.promotion_offset
        values = list(self._klines_between(span.partition, at, at + 1))
        return at if values and isinstance(values[0], Promotion) else None

    def _last_prediction(self, span: PartitionSpan) -> Prediction | None:
        last = deque(self._predictions_from(span.predictions.stop - _NEAR, span), maxlen=1)
        return last[0][1] if last else None

    def _first_after(self, promotion: int, span: PartitionSpan) -> int:
        """Return the offset of the first prediction made after a promotion."""
        start = find_source(self._predictions, span.partition, promotion + 1)
        for offset, prediction in self._predictions_from(start, span):
            if prediction.source_offset > promotion:
                return offset
        return span.predictions.stop

    def _predictions_from(
        self, start: int, span: PartitionSpan
    ) -> Iterator[tuple[int, Prediction]]:
        """Yield the predictions of a span from an offset on, each with its own."""
        blocks = self._predictions.read(span.partition, max(start, 0), span.predictions.stop)
        for record in chain.from_iterable(blocks):
            try:
                yield record.offset, decode_prediction(record.value)
            except BadInput:
                continue

    def _time_before(self, promotion: int, partition: int) -> int:
        """Return the open time (ms) from which on candles fill the windows at a promotion."""
        values = self._klines_between(partition, max(promotion - _NEAR, 0), promotion)
        times_ms = [value.open_time_ms for value in values if isinstance(value, Candle)]
        newest_ms = max(times_ms, default=0)
        return max(newest_ms - _INTERVALS_BEFORE * self._codec.interval_ms, 0)

    def _klines_between(self, partition: int, start: int, end: int) -> Iterator[Record | BadInput]:
        for record in chain.from_iterable(self._klines.read(partition, start, end)):
            yield self._codec.try_decode(record.value, partition)
