"""The only writer of a deployment's klines."""

from collections.abc import Sequence

from shared.adapters.kafka.backwards_reader import await_settled
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import Reader
from shared.core.errors import Unavailable
from shared.core.topics import Topics
from shared.log.time_marks import TimeMarker, read_newest_ms


class KlineWriter:
    """Writes candles in transactions, with the marks by which their times are found.

    Producer, import and redrive share one transactional id: the last to start fences the others.
    """

    def __init__(self, kafka: KafkaConnection, topics: Topics) -> None:
        """Fence other writers, then read how new the log is.

        Raises:
            Unavailable: Kafka does not answer, or a transaction stays open.
        """
        self._producer = TransactionalProducer(kafka, producer_transactional_id(topics))
        try:
            self._marker = TimeMarker(topics.klines, _read_newest(kafka, topics))
        except Unavailable:
            self.close()
            raise

    def write(self, records: Sequence[ProducerRecord]) -> None:
        """Write records in one transaction.

        Raises:
            Aborted, Refused, OutcomeUnknown, Fenced: see TransactionalProducer.
        """
        self._producer.write(self._marker.mark(records))

    def close(self) -> None:
        """Close the connection."""
        self._producer.close()


def producer_transactional_id(topics: Topics) -> str:
    """Return the transactional id of every writer of candles: the last to start fences others."""
    return topics.transactional_id(f"producer-{topics.interval}")


def _read_newest(kafka: KafkaConnection, topics: Topics) -> dict[int, int]:
    """Return the newest time (ms) of each partition that has marks, or no record yet."""
    partitions = range(topics.partitions)
    with Reader(kafka, topics.klines, headers=True) as reader:
        await_settled(reader, partitions)
        found = {partition: read_newest_ms(reader, partition) for partition in partitions}
    return {partition: ms for partition, ms in found.items() if ms is not None}
