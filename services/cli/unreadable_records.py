"""Records on a topic that this version cannot decode: skipped, counted, and named to the user."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console

from services.cli.terminal import print_warning
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.errors import BadInput
from shared.core.online.prediction import Prediction

_KEPT: Final = 5  # are named one by one; all are counted


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

    def print_to(self, console: Console) -> None:
        """Warn of each record that is described, and say how many more there are."""
        for description in self.descriptions:
            print_warning(console, f"skipped an unreadable record: {description}")
        if self.count > len(self.descriptions):
            console.print(f"... and {self.count - len(self.descriptions):,} more", soft_wrap=True)


def decode_predictions(
    topic: str, records: Iterable[ConsumerRecord], unreadable: UnreadableRecords
) -> Iterator[tuple[ConsumerRecord, Prediction]]:
    """Yield the records that are predictions with what they hold; count the others.

    Args:
        topic: where the records come from.
        records: the topic's records.
        unreadable: counts what is no prediction.
    """
    for record in records:
        try:
            yield record, decode_prediction(record.value)
        except BadInput as error:
            unreadable.add(topic, record, error)
