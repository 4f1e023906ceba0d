"""Check the klines, the predictions (by the fold) and the dead letters of a partition."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from services.cli.audit.mismatch import Mismatch, decode_text
from services.cli.audit.partition_log import DerivedPrediction, StoredDeadLetter
from services.cli.audit.report import PartitionReport
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
from shared.log.model_cache import REJECTED_BY_ALL
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

    def check(self, offset: int, value: Record | BadInput, *, is_processed: bool) -> RecordCheck:
        """Check the next record of the klines.

        Args:
            offset: of the record.
            value: the record, or why it is none.
            is_processed: whether the predictors are done with it.
        """
        if isinstance(value, BadInput):
            return self._invariants.skip_rejected()
        is_promotion = isinstance(value, Promotion)
        self._report.checked[Check.LINEAGE if is_promotion else Check.CANDLES] += 1
        match value:
            case Promotion():
                return self._check_promotion(offset, value, is_processed)
            case Gap():
                return self._invariants.check_gap(value)
            case Amendment() | Fill():
                return self._invariants.apply_correction(value)
            case SymbolStatus():
                return self._invariants.check_status(value)
            case Candle():
                return self._invariants.check_candle(offset, value)

    def _check_promotion(
        self, offset: int, promotion: Promotion, is_processed: bool
    ) -> RecordCheck:
        """Decide as the predictors do whether a promotion takes effect; check its lineage."""
        profile, version = promotion.numeric_profile, promotion.model_version
        own = self._processor.context.numeric_profile
        wrong = tuple(_check_profile(promotion, own))
        if profile != own:
            self._report.other_promotions[profile] += 1
        try:
            model = self._processor.models(version, promotion.bundle_sha256)
        except BadInput as error:
            if error.reason == UNKNOWN_MODEL:
                return self._check_unknown(promotion, error, is_processed, wrong)
            if profile != own and error.reason not in REJECTED_BY_ALL:
                # The bundle is there, and another version of the program may well read it.
                return self._activate(ActivePromotion(offset, version, None, profile), wrong)
            # Predictors reject it too, for good: its dead letter is asked for, and nothing else.
            return self._reject(promotion, wrong)
        violations = (*wrong, *self._check_parent(promotion, model))
        window_length = model.card.architecture.window_length
        return self._activate(ActivePromotion(offset, version, window_length, profile), violations)

    def _check_unknown(
        self, promotion: Promotion, error: BadInput, is_processed: bool, wrong: Violations
    ) -> RecordCheck:
        """Reject a promotion whose bundle is not in the log: predictors wait, and never pass it."""
        if is_processed:
            wrong = (*wrong, _lineage(promotion, "bundle", str(error), "a bundle in the log"))
        self._reject(promotion, wrong)
        return RecordCheck(None, wrong)

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

    def _check_parent(self, promotion: Promotion, model: Model) -> Iterator[Violation]:
        parent = model.card.parent
        if parent is not None and not self._is_in_log(parent):
            yield _lineage(promotion, "parent", parent, "a version in the models topic")


def _check_profile(promotion: Promotion, own: str) -> Iterator[Violation]:
    """Check that a promotion names no profile of this very version but with other bits."""
    found = promotion.numeric_profile
    if found != own and found.partition("-")[0] == own.partition("-")[0]:
        yield _lineage(promotion, "numeric_profile", found, f"{own}, or of another version")


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

    def derive(self, record: ConsumerRecord) -> DerivedPrediction | None:
        """Fold the next record; return the prediction that it leads to."""
        self._processor.process(self._batch, record)
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
