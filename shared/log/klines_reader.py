"""Read spans of the klines topic, and find times in it."""

from typing import Final, Self

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import Reader
from shared.core.topics import Topics
from shared.log.time_marks import UnmarkedLog, find_offset

LOOK_BYTES: Final = 64 * 1024  # of a fetch in a search, which looks at few records in many places


class KlinesReader(Reader):
    """A reader of a deployment's klines topic, which finds times by the marks in it."""

    def __init__(self, kafka: KafkaConnection, topics: Topics) -> None:
        """Create the consumer; it connects on first use."""
        super().__init__(kafka, topics.klines)
        self._marks = Reader(kafka, topics.klines, headers=True, fetch_bytes=LOOK_BYTES)

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(self, *args: object) -> None:
        """Close the connections."""
        super().__exit__(*args)
        self._marks.__exit__(*args)

    def offset_at(self, partition: int, time_ms: int) -> int:
        """Return an offset before which every record is older than a time.

        Few of the records behind it are older too; in a log without marks many may be.

        Raises:
            Unavailable: Kafka does not answer.
        """
        try:
            return find_offset(self._marks, partition, time_ms)
        except UnmarkedLog:
            return super().offset_at(partition, time_ms)
