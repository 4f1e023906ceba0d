"""One symbol group's topics held against each other: records, predictions and dead letters, in one merged pass."""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from services.cli.running_digest import RunningDigest
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas import dead_letter_offset, decode_prediction, encode_prediction
from shared.core.audit.invariants import (
    ABSENT,
    ActivePromotion,
    Check,
    Difference,
    PartitionInvariants,
    RecordCheck,
    Violation,
    differing,
)
from shared.core.errors import BadInput
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.records import Amendment, Gap, Promotion, Record
from shared.core.topics import Topics, partition_for
from shared.log.record_processor import BatchResult, RecordProcessor

UNKNOWN_MODEL: Final = "unknown_model"
_KEPT: Final = 20  # mismatches of a group that are kept; all are counted
_AFTER_CANDLE: Final = (
    Check.PLACE,
    Check.CANDLE,
    Check.PREVIOUS,
    Check.SCORES,
    Check.STEPS,
    Check.LINEAGE,
)
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What does not hold, and of which record."""

    topic: str
    partition: int
    offset: int
    fault: Violation

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        fault = self.fault
        fields = {d.name: {"found": d.found, "expected": d.expected} for d in fault.differences}
        place = {"topic": self.topic, "partition": self.partition, "offset": self.offset}
        return {
            **place,
            "check": fault.check.name.lower(),
            "message": fault.message,
            "fields": fields,
        }

    def __str__(self) -> str:
        """Return it as people read it, a line a field."""
        lines = [
            f"  {d.name}: found {_text(d.found)}, expected {_text(d.expected)}"
            for d in self.fault.differences
        ]
        return "\n".join(
            [
                f"{self.topic}, partition {self.partition}, offset {self.offset}:",
                self.fault.message,
                *lines,
            ]
        )


@dataclass(slots=True)
class GroupVerdict:
    """What was checked of one symbol group, and what did not hold."""

    group: int
    records: int = 0
    set_aside: int = 0  # what every reader passes over: repeated candles, bytes that are no record
    predictions: int = 0
    not_predicted_yet: int = 0  # candles past the last prediction
    other_profiles: Counter[str] = field(
        default_factory=Counter
    )  # predictions that only their makers can derive
    sha256: str = ""  # over keys and values as they are published
    derived_sha256: str = (
        ""  # as they should be; what only its makers can derive is taken as it is published
    )
    checked: Counter[Check] = field(default_factory=Counter)
    mismatched: Counter[Check] = field(default_factory=Counter)
    first: list[Mismatch] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether everything holds."""
        return not self.mismatched and self.sha256 == self.derived_sha256

    def note(self, mismatch: Mismatch) -> None:
        """Count a mismatch; keep it if it is among the first."""
        self.mismatched[mismatch.fault.check] += 1
        if len(self.first) < _KEPT:
            self.first.append(mismatch)


@dataclass(frozen=True, slots=True)
class PublishedRecord:
    """A record of the predictions topic; one that is no prediction says why."""

    record: ConsumerRecord
    prediction: Prediction | None
    fault: str = ""

    @property
    def source_offset(self) -> int:
        """The offset of the record it was made from; before all if it names none."""
        return -1 if self.prediction is None else self.prediction.source_offset


@dataclass(frozen=True, slots=True)
class PublishedDeadLetter:
    """A dead letter and the offset in the klines topic that it names; -1 if it names none."""

    record: ConsumerRecord
    offset: int


class Ahead(Generic[_Item]):
    """An iterator that can be looked into."""

    def __init__(self, items: Iterator[_Item]) -> None:
        """Take the items; nothing is read yet."""
        self._items, self._waiting = items, deque[_Item]()

    def peek(self, at: int = 0) -> _Item | None:
        """Return the item so far ahead, or None past the end."""
        while len(self._waiting) <= at:
            item = next(self._items, None)
            if item is None:
                return None
            self._waiting.append(item)
        return self._waiting[at]

    def pop(self) -> _Item:
        """Return the next item, which was looked at before."""
        return self._waiting.popleft()


def published(blocks: Iterator[list[ConsumerRecord]]) -> Iterator[PublishedRecord]:
    """Yield the records of the predictions topic, decoded."""
    for block in blocks:
        for record in block:
            try:
                yield PublishedRecord(record, decode_prediction(record.value))
            except BadInput as error:
                yield PublishedRecord(record, None, str(error))


def letters(
    blocks: Iterator[list[ConsumerRecord]], topic: str, group: int
) -> Iterator[PublishedDeadLetter]:
    """Yield the dead letters, read with headers, that name a symbol group of a topic."""
    for block in blocks:
        for record in block:
            offset = dead_letter_offset(record.headers or {}, topic, group)
            if offset is not None:
                yield PublishedDeadLetter(record, offset)


class GroupCheck:
    """Takes the records of a symbol group one by one; predictions and letters come from beside."""

    def __init__(
        self,
        topics: Topics,
        processor: RecordProcessor,
        is_published: Callable[[str], bool],
        predictions: Iterator[PublishedRecord],
        dead_letters: Iterator[PublishedDeadLetter],
        group: int,
    ) -> None:
        """Start before the first record.

        Args:
            topics: of the deployment.
            processor: derives the predictions again; its models refuse what is not in the log.
            is_published: says whether a model version is in the log.
            predictions: of this group, in the log's order.
            dead_letters: of this group, in the log's order.
            group: the symbol group.
        """
        self._topics, self._processor, self._is_published = topics, processor, is_published
        self._predictions, self._letters = Ahead(predictions), Ahead(dead_letters)
        context = processor.context
        self._own_profile = context.numeric_profile
        self._structure = PartitionInvariants(context.interval, context.interval_ms)
        # Of the last promotion that names one; before that, what made the first prediction.
        self._profile = self._first_profile()
        self._folded = BatchResult(PartitionState(numeric_profile=self._profile))
        self._taken_until = 0
        self._published, self._should_be = RunningDigest(), RunningDigest()
        self.verdict = GroupVerdict(group)

    def take(self, record: ConsumerRecord) -> None:
        """Check a record, the predictions made from it, and its dead letter."""
        self.verdict.records += 1
        self._taken_until = record.offset + 1
        derived = self._derived(record) if self._predictions.peek() is not None else None
        taken = self._taken(record)
        self.verdict.set_aside += taken.is_set_aside is True
        for fault in taken.faults:
            self._note(self._topics.klines, record.offset, fault)
        self._check_predictions(record.offset, derived)
        self._check_letters(record, taken)

    def finished(self, end: int) -> GroupVerdict:
        """Return the verdict; predictions and letters that name what lies past the end do not hold.

        Args:
            end: of the klines by now: what came since the last record was taken may have its letter already.
        """
        while self._predictions.peek() is not None:
            self._judge(self._predictions.pop(), None)
        while (letter := self._letters.peek()) is not None:
            self._letters.pop()
            if not self._taken_until <= letter.offset < end:
                self._stray_letter(letter)
        self.verdict.sha256, self.verdict.derived_sha256 = (
            self._published.sha256,
            self._should_be.sha256,
        )
        return self.verdict

    def _first_profile(self) -> str | None:
        first = self._predictions.peek()
        return (
            first.prediction.numeric_profile
            if first is not None and first.prediction is not None
            else None
        )

    def _derived(self, record: ConsumerRecord) -> Prediction | None:
        self._processor.process(self._folded, record)
        predictions = self._folded.predictions
        self._folded.clear_output()
        return predictions[0] if predictions else None

    def _taken(self, record: ConsumerRecord) -> RecordCheck:
        try:
            value: Record = self._processor.codec.decode(record.value, record.partition)
        except BadInput:
            return self._structure.set_aside()
        if isinstance(value, Promotion):
            self.verdict.checked[Check.LINEAGE] += 1
            return self._promotion(record.offset, value)
        if isinstance(value, Amendment):
            return self._structure.amendment(value)
        self.verdict.checked[Check.CANDLES] += 1
        return (
            self._structure.gap(value)
            if isinstance(value, Gap)
            else self._structure.candle(record.offset, value)
        )

    def _promotion(self, offset: int, promotion: Promotion) -> RecordCheck:
        """Take a promotion as the predictors do, and say what is wrong with its lineage."""
        profile = promotion.numeric_profile or self._profile
        version = promotion.model_version
        try:
            model = self._processor.models(version, "")
        except BadInput as error:
            if error.reason != UNKNOWN_MODEL and profile not in (None, self._own_profile):
                return self._in_force(ActivePromotion(offset, version, None, profile), ())
            return self._refused(
                promotion, _lineage(promotion, "bundle", str(error), "a usable bundle in the log")
            )
        faults = self._lineage_faults(promotion, model)
        if model.bundle.sha256 != promotion.bundle_sha256:
            return self._refused(promotion, *faults)
        card = model.card
        return self._in_force(
            ActivePromotion(offset, version, card.architecture.window_length, profile), faults
        )

    def _in_force(self, in_force: ActivePromotion, faults: tuple[Violation, ...]) -> RecordCheck:
        self._profile = in_force.numeric_profile
        taken = self._structure.promotion(in_force)
        return RecordCheck(None if in_force.window_length is None else taken.is_set_aside, faults)

    def _refused(self, promotion: Promotion, *faults: Violation) -> RecordCheck:
        """The model before stays in force, unless the promotion ends another profile's part of the log."""
        named = promotion.numeric_profile
        if self._profile is None or named in (None, self._profile):
            self._structure.set_aside()
        else:
            self._profile = named
            self._structure.promotion(None)
        return RecordCheck(True, faults)

    def _lineage_faults(self, promotion: Promotion, model: Model) -> tuple[Violation, ...]:
        faults = []
        if model.bundle.sha256 != promotion.bundle_sha256:
            faults.append(
                _lineage(promotion, "bundle_sha256", promotion.bundle_sha256, model.bundle.sha256)
            )
        parent = model.card.parent
        if parent is not None and not self._is_published(parent):
            faults.append(
                _lineage(promotion, "parent", parent, f"a version in {self._topics.models}")
            )
        return tuple(faults)

    def _check_predictions(self, offset: int, derived: Prediction | None) -> None:
        for one in self._due(offset):
            self._judge(one, derived)
        if not self._structure.is_owed():
            return
        if self._predictions.peek() is None:
            self.verdict.not_predicted_yet += 1
            return
        self._note(self._topics.klines, offset, self._structure.missing())
        if derived is not None:
            self._should_be.add(derived.symbol.encode(), encode_prediction(derived))

    def _due(self, offset: int) -> Iterator[PublishedRecord]:
        """Yield what names this record or one before, and what names one far ahead although the next does not."""
        while (head := self._predictions.peek()) is not None:
            after = self._predictions.peek(1)
            is_astray = after is not None and offset < after.source_offset < head.source_offset
            if head.source_offset > offset and not is_astray:
                return
            yield self._predictions.pop()

    def _judge(self, one: PublishedRecord, derived: Prediction | None) -> None:
        verdict, record, prediction = self.verdict, one.record, one.prediction
        verdict.predictions += 1
        self._published.add(record.key or b"", record.value or b"")
        if prediction is None:
            difference = Difference("value", _printable(record.value), "a prediction")
            fault = Violation(
                Check.PLACE, f"the record is no prediction: {one.fault}", (difference,)
            )
            self._note(self._topics.predictions, record.offset, fault)
            return
        verdict.checked.update(_AFTER_CANDLE)
        faults = (*self._structure.predicted(prediction), *self._place_faults(record, prediction))
        faults += self._bytes_faults(record, prediction, derived, faults)
        for fault in faults:
            self._note(self._topics.predictions, record.offset, fault)

    def _place_faults(self, record: ConsumerRecord, prediction: Prediction) -> Iterator[Violation]:
        symbol = prediction.symbol
        found = {"key": _printable(record.key), "partition": record.partition}
        expected = {"key": symbol, "partition": partition_for(symbol, self._topics.partitions)}
        differences = tuple(differing(found, expected))
        if differences:
            yield Violation(
                Check.PLACE,
                f"prediction of {symbol} lies under another key or partition",
                differences,
            )

    def _bytes_faults(
        self,
        record: ConsumerRecord,
        prediction: Prediction,
        derived: Prediction | None,
        faults: tuple[Violation, ...],
    ) -> tuple[Violation, ...]:
        """Return what the fold gives otherwise and was not said yet."""
        verdict = self.verdict
        if prediction.numeric_profile != self._own_profile:
            verdict.other_profiles[prediction.numeric_profile] += 1
            self._should_be.add(record.key or b"", record.value or b"")
            return ()
        if derived is None or derived.source_offset != prediction.source_offset:
            return ()
        expected = encode_prediction(derived)
        verdict.checked[Check.BYTES] += 1
        self._should_be.add(derived.symbol.encode(), expected)
        if record.value == expected:
            return ()
        said = {difference.name for fault in faults for difference in fault.differences}
        differences = tuple(differing(json.loads(record.value or b"{}"), json.loads(expected)))
        if not differences:
            differences = (Difference("bytes", _printable(record.value), expected.decode()),)
        new = tuple(difference for difference in differences if difference.name not in said)
        message = f"folding the log again gives another prediction of {prediction.symbol}"
        return (Violation(Check.BYTES, message, new),) if new else ()

    def _check_letters(self, record: ConsumerRecord, taken: RecordCheck) -> None:
        is_answered = False
        while (letter := self._letters.peek()) is not None and letter.offset <= record.offset:
            self._letters.pop()
            if (
                letter.offset == record.offset
                and taken.is_set_aside is not False
                and not is_answered
            ):
                self._compare_letter(letter, record)
                is_answered = True
            else:
                self._stray_letter(letter)
        is_past = self._predictions.peek() is not None or letter is not None
        if taken.is_set_aside is True and is_past and not is_answered:
            message = "the record was set aside, and there is no dead letter of it"
            fault = Violation(
                Check.DEAD_LETTERS, message, (Difference("dead letter", ABSENT, "one"),)
            )
            self._note(self._topics.klines, record.offset, fault)

    def _compare_letter(self, letter: PublishedDeadLetter, record: ConsumerRecord) -> None:
        self.verdict.checked[Check.DEAD_LETTERS] += 1
        found = {"key": letter.record.key, "value": letter.record.value}
        expected = {"key": record.key, "value": record.value}
        differences = tuple(
            Difference(d.name, _printable(d.found), _printable(d.expected))
            for d in differing(found, expected)
        )
        if differences:
            message = f"dead letter of {self._topics.klines} {record.partition}/{record.offset} has other bytes"
            self._note_letter(letter, Violation(Check.DEAD_LETTERS, message, differences))

    def _stray_letter(self, letter: PublishedDeadLetter) -> None:
        self.verdict.checked[Check.DEAD_LETTERS] += 1
        message = f"dead letter names a record of {self._topics.klines} that was not set aside, or has a letter already"
        difference = Difference(
            "offset", letter.offset, "of a record that was set aside, in order, once"
        )
        self._note_letter(letter, Violation(Check.DEAD_LETTERS, message, (difference,)))

    def _note_letter(self, letter: PublishedDeadLetter, fault: Violation) -> None:
        self.verdict.note(
            Mismatch(
                self._topics.dead_letters, letter.record.partition, letter.record.offset, fault
            )
        )

    def _note(self, topic: str, offset: int, fault: Violation) -> None:
        self.verdict.note(Mismatch(topic, self.verdict.group, offset, fault))


def _lineage(promotion: Promotion, name: str, found: str, expected: str) -> Violation:
    message = f"promotion of {promotion.model_version} does not name what is in the log"
    return Violation(Check.LINEAGE, message, (Difference(name, found, expected),))


def _printable(data: bytes | None) -> str:
    return ABSENT if data is None else data[:4096].decode("utf-8", "backslashreplace")


def _text(value: object) -> str:
    return "null" if value is None else str(value)
