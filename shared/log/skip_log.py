"""The records of `predictions` that an operator has declared foreign, on the topic `control`."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.topics import Topics
from shared.log.control_topic import ControlTopic

_FRESH_S: Final = 2.0  # many partitions are restored at a time


class SkipLog:
    """Reads the skipped offsets of `predictions`. Connects for each reading."""

    def __init__(
        self,
        kafka: KafkaConnection,
        topics: Topics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take Kafka's address and the deployment's topics; connect on first use."""
        self._control, self._clock = ControlTopic(kafka, topics, "reader"), clock
        self._read_s: float | None = None

    def offsets(self, partition: int) -> Collection[int]:
        """Return the offsets that are skipped in a partition, as of at most 2 s ago.

        Raises:
            Unavailable: Kafka does not answer.
        """
        now_s = self._clock()
        if self._read_s is None or now_s - self._read_s > _FRESH_S:
            self._control.refresh()
            self._read_s = now_s
        return self._control.state.skipped.get(partition, frozenset())


def without_skipped(
    blocks: Iterable[list[ConsumerRecord]], offsets: Collection[int]
) -> Iterator[list[ConsumerRecord]]:
    """Yield blocks of records without those at some offsets."""
    for block in blocks:
        yield [record for record in block if record.offset not in offsets] if offsets else block
