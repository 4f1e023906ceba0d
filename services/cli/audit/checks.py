"""Check the klines, the predictions (by the fold) and the dead letters of a partition."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from services.cli.audit.partition_log import LogEvent, StoredDeadLetter
from services.cli.audit.report import Mismatch, PartitionReport, decode_text
from services.cli.derivation import RunningDigest
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.audit.invariants import ActivePromotion, PartitionInvariants, RecordCheck
from shared.core.audit.violation import ABSENT, Check, Difference, Violation, compare_mappings
from shared.core.errors import BadInput
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.records import Amendment, Candle, Fill, Gap, Promotion, Record, SymbolStatus
from shared.core.topics import Topics
from shared.log.record_processor import BatchResult, RecordProcessor

UNKNOWN_MODEL: Final = "unknown_model"
Violations: TypeAlias = tuple[Violation, ...]


@dataclass(slots=True)
class KlinesCheck:
    """Checks each record against those before it, and feeds it to the invariants."""

    _processor: RecordProcessor  # its models refuse what is not in the log
    _is_in_log: Callable[[str], bool]  # whether the models topic holds a model version
    _invariants: PartitionInvariants
    _report: PartitionReport
    _profile: str | None = None  # of the last promotion

    def check(self, record: ConsumerRecord) -> RecordCheck:
        """Check the next record of the klines."""
        try:
            value: Record = self._processor.codec.decode(record.value, record.partition)
        except BadInput:
            return self._invariants.skip_rejected()
        is_promotion = isinstance(value, Promotion)
        self._report.checked[Check.LINEAGE if is_promotion else Check.CANDLES] += 1
        match value:
            case Promotion():
                return self._check_promotion(record.offset, value)
            case Gap():
                return self._invariants.check_gap(value)
            case Amendment() | Fill():
                return self._invariants.apply_correction(value)
            case SymbolStatus():
                return self._invariants.check_status(value)
            case Candle():
                return self._invariants.check_candle(record.offset, value)

    def _check_promotion(self, offset: int, promotion: Promotion) -> RecordCheck:
        """Decide as the predictors do whether a promotion takes effect; check its lineage."""
        profile, version = promotion.numeric_profile, promotion.model_version
        try:
            model = self._processor.models(version, "")
        except BadInput as error:
            own = self._processor.context.numeric_profile
            if error.reason != UNKNOWN_MODEL and profile != own:
                # The bundle is there, and another version of the program may well read it.
                return self._activate(ActivePromotion(offset, version, None, profile), ())
            wrong = _lineage(promotion, "bundle", str(error), "a usable bundle in the log")
            return self._reject(promotion, (wrong,))
        violations = tuple(self._check_lineage(promotion, model))
        if model.bundle.sha256 != promotion.bundle_sha256:
            return self._reject(promotion, violations)
        window_length = model.card.architecture.window_length
        return self._activate(ActivePromotion(offset, version, window_length, profile), violations)

    def _activate(self, promotion: ActivePromotion, violations: Violations) -> RecordCheck:
        self._profile = promotion.numeric_profile
        self._invariants.apply_promotion(promotion)
        is_readable_here = promotion.window_length is not None
        return RecordCheck(False if is_readable_here else None, violations)

    def _reject(self, promotion: Promotion, violations: Violations) -> RecordCheck:
        """Keep the previous model, unless the promotion ends another profile's part of the log."""
        if self._profile in (None, promotion.numeric_profile):
            self._invariants.skip_rejected()
        else:
            self._profile = promotion.numeric_profile
            self._invariants.apply_promotion(None)
        return RecordCheck(is_rejected=True, violations=violations)

    def _check_lineage(self, promotion: Promotion, model: Model) -> Iterator[Violation]:
        sha256, parent = model.bundle.sha256, model.card.parent
        if sha256 != promotion.bundle_sha256:
            yield _lineage(promotion, "bundle_sha256", promotion.bundle_sha256, sha256)
        if parent is not None and not self._is_in_log(parent):
            yield _lineage(promotion, "parent", parent, "a version in the models topic")


def _lineage(promotion: Promotion, name: str, found: str, expected: str) -> Violation:
    message = f"promotion of {promotion.model_version} does not agree with the models in the log"
    return Violation(Check.LINEAGE, message, (Difference(name, found, expected),))


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

    def derive(self, record: ConsumerRecord) -> Prediction | None:
        """Fold the next record; return the prediction that it leads to."""
        self._processor.process(self._batch, record)
        predictions = self._batch.predictions
        self._batch.clear_output()
        return predictions[0] if predictions else None

    def add_missing(self, derived: Prediction) -> None:
        """Add a derived prediction that was not published to the digest."""
        self.derived.add(derived.symbol.encode(), encode_prediction(derived))

    def check(
        self,
        record: ConsumerRecord,
        prediction: Prediction,
        derived: Prediction | None,
        known: Iterable[Violation],
    ) -> Iterator[Violation]:
        """Compare a published prediction with the derived one.

        Args:
            record: as published.
            prediction: as decoded.
            derived: from the same kline; None if it leads to none.
            known: violations found already; their fields are not reported again.
        """
        profile = prediction.numeric_profile
        if profile != self._processor.context.numeric_profile:
            self._report.other_profiles[profile] += 1
            self.derived.add(record.key, record.value)
            return
        if derived is None or derived.source_offset != prediction.source_offset:
            return
        expected = encode_prediction(derived)
        self._report.checked[Check.BYTES] += 1
        self.derived.add(derived.symbol.encode(), expected)
        if record.value == expected:
            return
        reported = {d.name for violation in known for d in violation.differences}
        differences = _compare_bytes(record.value or b"", expected)
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

    def check(self, event: LogEvent, *, is_rejected: bool | None) -> Iterator[Mismatch]:
        """Compare a record of the klines with the dead letters that name it.

        Args:
            event: the record and the dead letters that name it or one before it.
            is_rejected: whether readers reject the record; None: they may.
        """
        is_found = False
        for dead_letter in event.dead_letters:
            may_be = dead_letter[1].offset == event.record.offset and is_rejected is not False
            if may_be and not is_found:
                yield from self._compare(dead_letter, event.record)
                is_found = True
            else:
                yield self.report_unexpected(dead_letter)
        is_processed = event.predictions_follow or event.dead_letters_follow
        if is_rejected is True and is_processed and not is_found:
            yield self._report_missing(event.record)

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
