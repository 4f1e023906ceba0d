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
class PublishedRecord:
    """A record of the predictions topic; one that does not decode has the error instead."""

    record: ConsumerRecord
    prediction: Prediction | None
    error: str = ""

    @property
    def source_offset(self) -> int:
        """The offset of the kline it names; before all of them if it names none."""
        return -1 if self.prediction is None else self.prediction.source_offset


@dataclass(frozen=True, slots=True)
class LogEvent:
    """A kline with the predictions and dead letters that name it, or name an earlier one."""

    record: ConsumerRecord
    predictions: tuple[PublishedRecord, ...]
    dead_letters: tuple[StoredDeadLetter, ...]
    # Whether there are more after these: then the predictor is done with this record.
    predictions_follow: bool
    dead_letters_follow: bool


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
    """Merges the three topics of a partition by the offset in klines."""

    def __init__(
        self,
        klines: Iterable[ConsumerRecord],
        predictions: Iterable[PublishedRecord],
        dead_letters: Iterable[StoredDeadLetter],
    ) -> None:
        """Take the three streams, each in the order of its topic.

        Args:
            klines: the partition's records.
            predictions: made from this partition.
            dead_letters: of records of this partition.
        """
        self._klines = klines
        self.predictions, self.dead_letters = Lookahead(predictions), Lookahead(dead_letters)

    def events(self) -> Iterator[LogEvent]:
        """Yield the klines in order, each with its predictions and dead letters."""
        for record in self._klines:
            # 1. Each topic is in the order of the klines that its records name, so those that name
            #    this record, or wrongly an earlier one, are next: no record has to be kept.
            # 2. If there are more after them the predictor is done with this record: what is
            #    missing here is missing for good, rather than not published yet.
            yield LogEvent(
                record,
                tuple(self._predictions_up_to(record.offset)),
                tuple(self._dead_letters_up_to(record.offset)),
                predictions_follow=self.predictions.peek() is not None,
                dead_letters_follow=self.dead_letters.peek() is not None,
            )

    def _predictions_up_to(self, offset: int) -> Iterator[PublishedRecord]:
        while (head := self.predictions.peek()) is not None:
            if head.source_offset > offset and not self._is_astray(head, offset):
                return
            yield self.predictions.pop()

    def _is_astray(self, head: PublishedRecord, offset: int) -> bool:
        """Return whether a prediction names a far later record than the one after it does.

        It must not hold back those after it, which would all seem to be missing.
        """
        after = self.predictions.peek(1)
        return after is not None and offset < after.source_offset < head.source_offset

    def _dead_letters_up_to(self, offset: int) -> Iterator[StoredDeadLetter]:
        while (head := self.dead_letters.peek()) is not None and head[1].offset <= offset:
            yield self.dead_letters.pop()


def decode_published(blocks: Iterable[Iterable[ConsumerRecord]]) -> Iterator[PublishedRecord]:
    """Yield the records of the predictions topic, decoded."""
    for block in blocks:
        for record in block:
            try:
                yield PublishedRecord(record, decode_prediction(record.value))
            except BadInput as error:
                yield PublishedRecord(record, None, str(error))
