"""Audit one partition: compare its klines, predictions and dead letters in one merged pass."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from services.cli.audit.checks import DeadLettersCheck, FoldCheck
from services.cli.audit.klines_check import KlinesCheck
from services.cli.audit.market_index import MarketIndex
from services.cli.audit.mismatch import Mismatch, decode_text
from services.cli.audit.options import SymbolSample
from services.cli.audit.partition_log import DerivedPrediction, PartitionLog, PublishedRecord
from services.cli.audit.report import PartitionReport
from services.cli.audit.span import PartitionSpan
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.wire import UNKNOWN_SCHEMA
from shared.core.audit.invariants import PartitionInvariants
from shared.core.audit.violation import Check, Difference, Violation, compare_mappings
from shared.core.errors import BadInput
from shared.core.online.prediction import Prediction
from shared.core.records import Promotion, Record, symbol_of
from shared.core.topics import Topics, partition_for
from shared.log.record_processor import RecordProcessor

_OF_A_PREDICTION: Final = (
    Check.PLACE,
    Check.CANDLE,
    Check.PREVIOUS,
    Check.SCORES,
    Check.INTERVALS,
    Check.STEPS,
    Check.LINEAGE,
)


class PartitionAudit:
    """Runs all checks on a partition and collects the mismatches."""

    def __init__(
        self,
        topics: Topics,
        processor: RecordProcessor,
        is_in_log: Callable[[str], bool],
        log: PartitionLog,
        span: PartitionSpan,
        sample: SymbolSample | None = None,
    ) -> None:
        """Prepare the checks; nothing is read yet.

        Args:
            topics: of the deployment.
            processor: derives the predictions again; its models refuse what is not in the log.
            is_in_log: says whether the models topic holds a model version.
            log: the partition's topics, as far as the span goes.
            span: what is audited.
            sample: the symbols whose predictions are derived again; None means all.
        """
        context = processor.context
        self._topics, self._log, self._span, self._sample = topics, log, span, sample
        self._codec = processor.codec
        self._first_symbol: str | None = None
        self._report = PartitionReport(span.partition, span.checked_from, span.committed)
        self.market_index = MarketIndex()
        is_whole = span.klines.start == 0
        self._invariants = PartitionInvariants(
            context.interval, context.interval_ms, is_whole=is_whole
        )
        self._klines = KlinesCheck(processor, is_in_log, self._invariants, self._report)
        self._fold = FoldCheck(processor, self._report)
        self._dead_letters = DeadLettersCheck(topics, self._report)

    def run(self, klines_end: Callable[[], int]) -> PartitionReport:
        """Audit the partition.

        Args:
            klines_end: gives, once all records are read, the end of the klines at that moment: a
                record written since may have its dead letter already.
        """
        next_offset = self._span.klines.start
        for record in self._log.klines:
            value = self._codec.try_decode(record.value, record.partition)
            self.market_index.add(record.offset, value)
            if record.offset < self._span.checked_from:
                self._fill_windows(record, value)
            else:
                self._check_record(record, value)
            next_offset = record.offset + 1
        self._check_remaining(next_offset, klines_end())
        self._report.checked.update(dict.fromkeys(_OF_A_PREDICTION, self._report.predictions))
        self._report.sha256 = self._fold.published.sha256
        self._report.derived_sha256 = self._fold.derived.sha256
        return self._report

    def _fill_windows(self, record: ConsumerRecord, value: Record | BadInput) -> None:
        """Take in a record from before the span's promotion, which begins everything else anew."""
        if isinstance(value, Promotion):
            return
        self._klines.check(record.offset, value, is_processed=False)
        if self._is_sampled(value):
            self._fold.derive(record, value)

    def _check_record(self, record: ConsumerRecord, value: Record | BadInput) -> None:
        self._report.records += 1
        # 1. Past the last prediction nothing is compared, so nothing is derived: it takes long.
        is_derived = self._log.predictions_follow and self._is_sampled(value)
        derived = self._fold.derive(record, value) if is_derived else None
        published = tuple(self._log.predictions_up_to(record.offset, derived))
        dead_letters = tuple(self._log.dead_letters_up_to(record.offset))
        # 2. If there are more, or if the predictors' group has committed a later offset, the
        #    predictors are done with this record: what is missing here is missing for good.
        is_predicted = self._log.predictions_follow or self._span.is_processed(record.offset)
        is_processed = is_predicted or self._log.dead_letters_follow
        check = self._klines.check(record.offset, value, is_processed=is_processed)
        self._report.rejected += check.is_rejected is True
        self._add(self._topics.klines, record.offset, check.violations)
        for one in published:
            self._check_published(one, derived)
        if self._invariants.lacks_prediction():
            self._check_missing(record, derived, is_predicted)
        for mismatch in self._dead_letters.check(
            record, dead_letters, is_rejected=check.is_rejected, is_processed=is_processed
        ):
            self._report.add(mismatch)

    def _is_sampled(self, value: Record | BadInput) -> bool:
        """Return whether a record is folded: all are, but for the symbols outside a sample."""
        if self._sample is None or isinstance(value, BadInput):
            return True
        symbol = symbol_of(value)
        return symbol is None or self._is_folded(symbol)

    def _is_folded(self, symbol: str) -> bool:
        """Return whether a symbol's predictions are derived again: of a sample, at least one's."""
        if self._sample is None:
            return True
        self._first_symbol = self._first_symbol or symbol
        return symbol == self._first_symbol or self._sample.includes(symbol)

    def _check_published(
        self, published: PublishedRecord, derived: DerivedPrediction | None
    ) -> None:
        record, prediction = published.record, published.decoded
        if isinstance(prediction, BadInput):
            self._check_unreadable(record, prediction)
            return
        self._report.predictions += 1
        self._fold.published.add(record.key, record.value)
        violations = [
            *self._invariants.check_prediction(prediction),
            *self._check_place(record, prediction),
        ]
        is_known = self._invariants.knows(prediction.symbol)
        is_folded = self._is_folded(prediction.symbol)
        if not is_known:
            self._report.unknown_symbols[prediction.symbol] += 1
        violations += self._fold.check(
            record, prediction, derived, violations, is_derivable=is_known and is_folded
        )
        self._add(self._topics.predictions, record.offset, violations)

    def _check_unreadable(self, record: ConsumerRecord, error: BadInput) -> None:
        """Count a record that is no prediction; report one that only another version can read.

        Predictors and other readers pass over what nobody can read. Were it one of ours, damaged,
        then its candle lacks a prediction, and that is reported.
        """
        if error.reason != UNKNOWN_SCHEMA:
            self._report.unreadable.add(self._topics.predictions, record, error)
            return
        difference = Difference("value", decode_text(record.value), "a prediction of this schema")
        message = f"the record is no prediction of this version: {error}"
        violation = Violation(Check.PLACE, message, (difference,))
        self._add(self._topics.predictions, record.offset, [violation])

    def _check_place(self, record: ConsumerRecord, prediction: Prediction) -> Iterator[Violation]:
        symbol = prediction.symbol
        partition = partition_for(symbol, self._topics.partitions)
        if record.key == symbol.encode() and record.partition == partition:
            return
        found = {"key": decode_text(record.key), "partition": record.partition}
        expected = {"key": symbol, "partition": partition}
        message = f"prediction of {symbol} is under another key or in another partition"
        differences = tuple(compare_mappings(found, expected))
        yield Violation(Check.PLACE, message, differences)

    def _check_missing(
        self, record: ConsumerRecord, derived: DerivedPrediction | None, is_predicted: bool
    ) -> None:
        if not is_predicted:
            self._report.not_predicted_yet += 1
            return
        violation = self._invariants.report_missing_prediction()
        self._add(self._topics.klines, record.offset, [violation])
        if derived is not None:
            self._fold.add_missing(derived)

    def _check_remaining(self, next_offset: int, klines_end: int) -> None:
        """Report the predictions and dead letters that name no record which exists."""
        for published in self._log.predictions.rest():
            self._check_published(published, None)
        for dead_letter in self._log.dead_letters.rest():
            if not next_offset <= dead_letter[1].offset < klines_end:
                self._report.add(self._dead_letters.report_unexpected(dead_letter))

    def _add(self, topic: str, offset: int, violations: Iterable[Violation]) -> None:
        for violation in violations:
            self._report.add(Mismatch(topic, self._report.partition, offset, violation))
