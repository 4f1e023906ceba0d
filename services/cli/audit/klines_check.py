"""Check the klines of a partition: contiguous candles, and promotions of models in the log."""

from collections.abc import Callable, Iterator
from typing import Final

from services.cli.audit.report import PartitionReport
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.audit.invariants import ActivePromotion, PartitionInvariants, RecordCheck
from shared.core.audit.violation import Check, Difference, Violation
from shared.core.errors import BadInput
from shared.core.online.model import Model
from shared.core.records import Amendment, Candle, Gap, Promotion, Record
from shared.log.record_processor import RecordProcessor

UNKNOWN_MODEL: Final = "unknown_model"


class KlinesCheck:
    """Checks each record against those before it, and tells the invariants of it."""

    def __init__(
        self,
        processor: RecordProcessor,
        is_in_log: Callable[[str], bool],
        invariants: PartitionInvariants,
        report: PartitionReport,
    ) -> None:
        """Begin before the first record.

        Args:
            processor: decodes the records; its models refuse what is not in the log.
            is_in_log: says whether the models topic holds a model version.
            invariants: of the partition.
            report: counts the checks.
        """
        self._processor, self._is_in_log = processor, is_in_log
        self._invariants, self._report = invariants, report
        self._profile: str | None = None  # of the last promotion

    def check(self, record: ConsumerRecord) -> RecordCheck:
        """Check the next record of the klines."""
        try:
            value: Record = self._processor.codec.decode(record.value, record.partition)
        except BadInput:
            return self._invariants.skip_rejected()
        match value:
            case Promotion():
                self._report.checked[Check.LINEAGE] += 1
                return self._check_promotion(record.offset, value)
            case Amendment():
                return self._invariants.apply_amendment(value)
            case Gap():
                self._report.checked[Check.CANDLES] += 1
                return self._invariants.check_gap(value)
            case Candle():
                self._report.checked[Check.CANDLES] += 1
                return self._invariants.check_candle(record.offset, value)

    def _check_promotion(self, offset: int, promotion: Promotion) -> RecordCheck:
        """Decide as the predictors do whether a promotion takes effect; check its lineage."""
        profile = promotion.numeric_profile
        version = promotion.model_version
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
        active = ActivePromotion(offset, version, window_length, profile)
        return self._activate(active, violations)

    def _activate(
        self, promotion: ActivePromotion, violations: tuple[Violation, ...]
    ) -> RecordCheck:
        self._profile = promotion.numeric_profile
        self._invariants.apply_promotion(promotion)
        is_readable_here = promotion.window_length is not None
        return RecordCheck(False if is_readable_here else None, violations)

    def _reject(self, promotion: Promotion, violations: tuple[Violation, ...]) -> RecordCheck:
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
