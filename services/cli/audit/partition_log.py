"""Merge a partition's klines with the predictions and dead letters made from them."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.dead_letters import DeadLetter
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.errors import BadInput
from shared.core.online.prediction import Prediction

_Item = TypeVar("_Item")
StoredDeadLetter = tuple[ConsumerRecord, DeadLetter]
"""A record of the dead-letters topic, and the dead letter it holds."""


@dataclass(frozen=True, slots=True)
class DerivedPrediction:
    """A prediction that the fold gives, and its canonical bytes."""

    prediction: Prediction
    value: bytes


class PublishedRecord:
    """A record of the predictions topic, decoded when it is first looked at."""

    __slots__ = ("_decoded", "record")

    def __init__(self, record: ConsumerRecord) -> None:
        """Take the record as published."""
        self.record = record
        self._decoded: Prediction | BadInput | None = None

    @property
    def decoded(self) -> Prediction | BadInput:
        """The prediction, or the error of a record that is none."""
        if self._decoded is None:
            try:
                self._decoded = decode_prediction(self.record.value)
            except BadInput as error:
                self._decoded = error
        return self._decoded

    @property
    def source_offset(self) -> int:
        """The offset of the kline it names; before all of them if it names none."""
        decoded = self.decoded
        return -1 if isinstance(decoded, BadInput) else decoded.source_offset

    def compare(self, derived: DerivedPrediction | None) -> bool:
        """Return whether the record has a derived prediction's bytes: it is not decoded then."""
        is_same = derived is not None and self.record.value == derived.value
        if is_same and derived is not None:
            self._decoded = derived.prediction
        return is_same


class Lookahead(Generic[_Item]):
    """An iterator whose next items can be seen in advance."""

    def __init__(self, items: Iterable[_Item]) -> None:
        """Wrap the items; nothing is read yet."""
        self._items, self._seen = iter(items), deque[_Item]()

    def peek(self, ahead: int = 0) -> _Item | None:
        """Return the item so many places ahead, or None past the end."""
        while len(self._seen) <= ahead:
            item = next(self._items, None)
            if item is None:
                return None
            self._seen.append(item)
        return self._seen[ahead]

    def pop(self) -> _Item:
        """Return the next item, which was seen before, and move on."""
        return self._seen.popleft()

    def rest(self) -> Iterator[_Item]:
        """Yield all items that are left."""
        while self.peek() is not None:
            yield self.pop()


class PartitionLog:
    """Merges the three topics of a partition by the offset in klines.

    Predictions and dead letters are in the order of the klines that their records name, so those
    that name a record, or wrongly an earlier one, are next: no record has to be kept.
    """

    def __init__(
        self,
        klines: Iterable[ConsumerRecord],
        predictions: Iterable[ConsumerRecord],
        dead_letters: Iterable[StoredDeadLetter],
    ) -> None:
        """Take the three streams, each in the order of its topic.

        Args:
            klines: the partition's records.
            predictions: made from this partition.
            dead_letters: of records of this partition.
        """
        self.klines = klines
        self.predictions = Lookahead(map(PublishedRecord, predictions))
        self.dead_letters = Lookahead(dead_letters)

    @property
    def predictions_follow(self) -> bool:
        """Whether there are more predictions: then those up to here are all there will be."""
        return self.predictions.peek() is not None

    @property
    def dead_letters_follow(self) -> bool:
        """Whether there are more dead letters."""
        return self.dead_letters.peek() is not None

    def predictions_up_to(
        self, offset: int, derived: DerivedPrediction | None
    ) -> Iterator[PublishedRecord]:
        """Yield the predictions that name a record, or one before it.

        Args:
            offset: the record's.
            derived: the prediction that the fold makes of it, if it makes one.
        """
        while (head := self.predictions.peek()) is not None:
            if head.compare(derived):
                # The one after it is not decoded before it can be compared with its own record's;
                # if it names this record again, it is found with the next one.
                yield self.predictions.pop()
                return
            if head.source_offset > offset and not self._is_astray(head, offset):
                return
            yield self.predictions.pop()

    def dead_letters_up_to(self, offset: int) -> Iterator[StoredDeadLetter]:
        """Yield the dead letters that name a record, or one before it."""
        while (head := self.dead_letters.peek()) is not None and head[1].offset <= offset:
            yield self.dead_letters.pop()

    def _is_astray(self, head: PublishedRecord, offset: int) -> bool:
        """Return whether a prediction names a far later record than the one after it does.

        It must not hold back those after it, which would all seem to be missing.
        """
        after = self.predictions.peek(1)
        return after is not None and offset < after.source_offset < head.source_offset
