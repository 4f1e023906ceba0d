"""Check the predictions (by the fold) and the dead letters of a partition."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from services.cli.audit.mismatch import Mismatch, decode_text
from services.cli.audit.partition_log import DerivedPrediction, StoredDeadLetter
from services.cli.audit.report import PartitionReport
from services.cli.derivation import RunningDigest
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.audit.violation import ABSENT, Check, Difference, Violation, compare_mappings
from shared.core.errors import BadInput
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.records import Record
from shared.core.topics import Topics
from shared.log.record_processor import BatchResult, RecordProcessor


class FoldCheck:
    """Derives the predictions of a partition again, and keeps a digest of both sides."""

    def __init__(self, processor: RecordProcessor, report: PartitionReport) -> None:
        """Begin before the first record.

        Args:
            processor: of the deployment's klines.
            report: counts the checks and the predictions of other profiles.
        """
        self._processor, self._report = processor, report
        self._batch = BatchResult(PartitionState())
        self.published, self.derived = RunningDigest(), RunningDigest()

    def derive(self, record: ConsumerRecord, value: Record | BadInput) -> DerivedPrediction | None:
        """Fold the next record, decoded to this value; return the prediction it leads to."""
        self._processor.process_decoded(self._batch, record, value)
        predictions = self._batch.predictions
        self._batch.clear_output()
        if not predictions:
            return None
        return DerivedPrediction(predictions[0], encode_prediction(predictions[0]))

    def add_missing(self, derived: DerivedPrediction) -> None:
        """Add a derived prediction that was not published to the digest."""
        self.derived.add(derived.prediction.symbol.encode(), derived.value)

    def check(
        self,
        record: ConsumerRecord,
        prediction: Prediction,
        derived: DerivedPrediction | None,
        known: Iterable[Violation],
        *,
        is_derivable: bool,
    ) -> Iterator[Violation]:
        """Compare a published prediction with the derived one.

        Args:
            record: as published.
            prediction: as decoded.
            derived: from the same kline; None if it leads to none.
            known: violations found already; their fields are not reported again.
            is_derivable: whether its symbol is folded, from candles that were all read.
        """
        profile = prediction.numeric_profile
        is_own = profile == self._processor.context.numeric_profile
        if not is_own:
            self._report.other_profiles[profile] += 1
        if not is_own or not is_derivable:
            self.derived.add(record.key, record.value)
            return
        if derived is None or derived.prediction.source_offset != prediction.source_offset:
            return
        self._report.checked[Check.BYTES] += 1
        self.add_missing(derived)
        if record.value == derived.value:
            return
        reported = {d.name for violation in known for d in violation.differences}
        differences = _compare_bytes(record.value or b"", derived.value)
        new = tuple(d for d in differences if d.name not in reported)
        if new:
            message = f"folding the log again gives another prediction of {prediction.symbol}"
            yield Violation(Check.BYTES, message, new)


def _compare_bytes(found: bytes, expected: bytes) -> tuple[Difference, ...]:
    """Return the fields that differ, or the bytes where the same fields are written otherwise."""
    fields = tuple(compare_mappings(_fields(found), _fields(expected)))
    return fields or (Difference("bytes", decode_text(found), expected.decode()),)


def _fields(value: bytes) -> dict[str, Any]:
    """Parse all fields of a prediction, unknown ones too; none if Python cannot parse them."""
    try:
        return dict(json.loads(value))
    except (ValueError, RecursionError):  # such as a number of 5,000 digits in an unknown field
        return {}


@dataclass(frozen=True, slots=True)
class DeadLettersCheck:
    """Compares a partition's dead letters with the records that readers reject."""

    _topics: Topics
    _report: PartitionReport

    def check(
        self,
        record: ConsumerRecord,
        dead_letters: Sequence[StoredDeadLetter],
        *,
        is_rejected: bool | None,
        is_processed: bool,
    ) -> Iterator[Mismatch]:
        """Compare a record of the klines with the dead letters that name it.

        Args:
            record: the record.
            dead_letters: those that name it, or one before it.
            is_rejected: whether readers reject the record; None: they may.
            is_processed: whether the predictors are done with it.
        """
        is_found = False
        for dead_letter in dead_letters:
            may_be = dead_letter[1].offset == record.offset and is_rejected is not False
            if may_be and not is_found:
                yield from self._compare(dead_letter, record)
                is_found = True
            else:
                yield self.report_unexpected(dead_letter)
        if is_rejected is True and is_processed and not is_found:
            yield self._report_missing(record)

    def report_unexpected(self, dead_letter: StoredDeadLetter) -> Mismatch:
        """Report a dead letter of a record that no reader rejects, or a second one."""
        self._report.checked[Check.DEAD_LETTERS] += 1
        message = (
            f"dead letter names a record of {self._topics.klines} that readers do not reject,"
            " or that has a dead letter already"
        )
        expected = "of a rejected record, in order, once"
        difference = Difference("offset", dead_letter[1].offset, expected)
        return self._mismatch(dead_letter, Violation(Check.DEAD_LETTERS, message, (difference,)))

    def _compare(self, dead_letter: StoredDeadLetter, record: ConsumerRecord) -> Iterator[Mismatch]:
        self._report.checked[Check.DEAD_LETTERS] += 1
        found = {"key": dead_letter[0].key, "value": dead_letter[0].value}
        expected = {"key": record.key, "value": record.value}
        differences = tuple(
            Difference(d.name, decode_text(d.found), decode_text(d.expected))
            for d in compare_mappings(found, expected)
        )
        if differences:
            place = f"{self._topics.klines} {record.partition}/{record.offset}"
            message = f"dead letter of {place} has other bytes"
            yield self._mismatch(dead_letter, Violation(Check.DEAD_LETTERS, message, differences))

    def _report_missing(self, record: ConsumerRecord) -> Mismatch:
        message = "readers reject the record, and it has no dead letter"
        difference = Difference("dead letter", ABSENT, "one")
        violation = Violation(Check.DEAD_LETTERS, message, (difference,))
        return Mismatch(self._topics.klines, self._report.partition, record.offset, violation)

    def _mismatch(self, dead_letter: StoredDeadLetter, violation: Violation) -> Mismatch:
        stored = dead_letter[0]
        return Mismatch(self._topics.dead_letters, stored.partition, stored.offset, violation)
