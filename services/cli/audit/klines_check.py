"""Check the klines of a partition, and which promotions predictors accept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from services.cli.audit.report import PartitionReport
from shared.core.audit.invariants import ActivePromotion, PartitionInvariants, RecordCheck
from shared.core.audit.violation import Check, Difference, Violation
from shared.core.errors import BadInput
from shared.core.online.model import Model
from shared.core.records import Amendment, Candle, Fill, Gap, Promotion, Record, SymbolStatus
from shared.log.model_cache import REJECTED_BY_ALL
from shared.log.record_processor import RecordProcessor

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
