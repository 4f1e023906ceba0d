"""Decode the predictions topic for readers, and count the records that are none."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.errors import BadInput
from shared.core.online.prediction import Prediction

_KEPT: Final = 5  # unreadable records are named one by one; all are counted


@dataclass(slots=True)
class UnreadableRecords:
    """Counts the records that do not decode, and describes the first few of them."""

    count: int = 0
    descriptions: list[str] = field(default_factory=list)

    def add(self, topic: str, record: ConsumerRecord, error: BadInput) -> None:
        """Count a record; describe it by topic, partition, offset and reason."""
        self.count += 1
        if len(self.descriptions) < _KEPT:
            place = f"{topic}, partition {record.partition}, offset {record.offset}"
            self.descriptions.append(f"{place}: {error.reason}: {error}")


def decode_predictions(
    topic: str, records: Iterable[ConsumerRecord], unreadable: UnreadableRecords
) -> Iterator[tuple[ConsumerRecord, Prediction]]:
    """Yield each record that decodes, with its prediction; count the others.

    Args:
        topic: where the records come from.
        records: the topic's records.
        unreadable: counts the records that are no predictions.
    """
    for record in records:
        try:
            yield record, decode_prediction(record.value)
        except BadInput as error:
            unreadable.add(topic, record, error)
