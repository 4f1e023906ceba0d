"""Audit one partition: compare its klines, predictions and dead letters in one merged pass."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from services.cli.audit.checks import DeadLettersCheck, FoldCheck, KlinesCheck
from services.cli.audit.partition_log import LogEvent, PartitionLog, PublishedRecord
from services.cli.audit.report import Mismatch, PartitionReport, decode_text
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.audit.invariants import PartitionInvariants
from shared.core.audit.violation import Check, Difference, Violation, compare_mappings
from shared.core.online.prediction import Prediction
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
        partition: int,
    ) -> None:
        """Prepare the checks; nothing is read yet.

        Args:
            topics: of the deployment.
            processor: derives the predictions again; its models refuse what is not in the log.
            is_in_log: says whether the models topic holds a model version.
            log: the partition's topics.
            partition: its number.
        """
        context = processor.context
        self._topics, self._log = topics, log
        self._report = PartitionReport(partition)
        self._invariants = PartitionInvariants(context.interval, context.interval_ms)
        self._klines = KlinesCheck(processor, is_in_log, self._invariants, self._report)
        self._fold = FoldCheck(processor, self._report)
        self._dead_letters = DeadLettersCheck(topics, self._report)

    def run(self, klines_end: Callable[[], int]) -> PartitionReport:
        """Audit the partition from its first record on.

        Args:
            klines_end: gives, once all records are read, the end of the klines at that moment: a
                record written since may have its dead letter already.
        """
        next_offset = 0
        for event in self._log.events():
            self._check_event(event)
            next_offset = event.record.offset + 1
        self._check_remaining(next_offset, klines_end())
        self._report.sha256 = self._fold.published.sha256
        self._report.derived_sha256 = self._fold.derived.sha256
        return self._report

    def _check_event(self, event: LogEvent) -> None:
        self._report.records += 1
        # Past the last prediction nothing is compared, so nothing is derived: it takes long.
        is_needed = bool(event.predictions) or event.predictions_follow
        derived = self._fold.derive(event.record) if is_needed else None
        check = self._klines.check(event.record)
        self._report.rejected += check.is_rejected is True
        self._add(self._topics.klines, event.record.offset, check.violations)
        for published in event.predictions:
            self._check_prediction(published, derived)
        if self._invariants.lacks_prediction():
            self._check_missing(event, derived)
        for mismatch in self._dead_letters.check(event, is_rejected=check.is_rejected):
            self._report.add(mismatch)

    def _check_prediction(self, published: PublishedRecord, derived: Prediction | None) -> None:
        record, prediction = published.record, published.prediction
        self._report.predictions += 1
        self._fold.published.add(record.key, record.value)
        if prediction is None:
            self._add(self._topics.predictions, record.offset, [_undecodable(published)])
            return
        self._report.checked.update(_OF_A_PREDICTION)
        violations = [
            *self._invariants.check_prediction(prediction),
            *self._check_place(record, prediction),
        ]
        violations += self._fold.check(record, prediction, derived, violations)
        self._add(self._topics.predictions, record.offset, violations)

    def _check_place(self, record: ConsumerRecord, prediction: Prediction) -> Iterator[Violation]:
        symbol = prediction.symbol
        found = {"key": decode_text(record.key), "partition": record.partition}
        expected = {"key": symbol, "partition": partition_for(symbol, self._topics.partitions)}
        differences = tuple(compare_mappings(found, expected))
        if differences:
            message = f"prediction of {symbol} is under another key or in another partition"
            yield Violation(Check.PLACE, message, differences)

    def _check_missing(self, event: LogEvent, derived: Prediction | None) -> None:
        if not event.predictions_follow:
            self._report.not_predicted_yet += 1
            return
        violation = self._invariants.report_missing_prediction()
        self._add(self._topics.klines, event.record.offset, [violation])
        if derived is not None:
            self._fold.add_missing(derived)

    def _check_remaining(self, next_offset: int, klines_end: int) -> None:
        """Report the predictions and dead letters that name no record which exists."""
        for published in self._log.predictions.rest():
            self._check_prediction(published, None)
        for dead_letter in self._log.dead_letters.rest():
            if not next_offset <= dead_letter[1].offset < klines_end:
                self._report.add(self._dead_letters.report_unexpected(dead_letter))

    def _add(self, topic: str, offset: int, violations: Iterable[Violation]) -> None:
        for violation in violations:
            self._report.add(Mismatch(topic, self._report.partition, offset, violation))


def _undecodable(published: PublishedRecord) -> Violation:
    message = f"the record is no prediction: {published.error}"
    difference = Difference("value", decode_text(published.record.value), "a prediction")
    return Violation(Check.PLACE, message, (difference,))
