"""Check every byte of the predictions by folding the klines again."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from services.cli.audit.report import PartitionReport
from services.cli.audit.text import decode_text
from services.cli.derivation import RunningDigest
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.audit.violation import Check, Difference, Violation, compare_mappings
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
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

    def derive(self, record: ConsumerRecord) -> Prediction | None:
        """Fold the next record; return the prediction that it leads to."""
        self._processor.process(self._batch, record)
        predictions = self._batch.predictions
        self._batch.clear_output()
        return predictions[0] if predictions else None

    def add_missing(self, derived: Prediction) -> None:
        """Put a prediction that was not published into the digest of what should be there."""
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
            self.derived.add(record.key or b"", record.value or b"")
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
    """Return all fields of a prediction, unknown ones too; none if Python cannot hold them."""
    try:
        return dict(json.loads(value))
    except (ValueError, RecursionError):  # such as a number of 5,000 digits in an unknown field
        return {}
