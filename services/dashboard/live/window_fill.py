"""Fill the recent window from the log, backwards and in small blocks."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Final, NamedTuple

from services.dashboard.live.topic_feed import TopicFeed
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.core.topics import Topics

_BLOCK: Final = 2_000  # records: so long the newest ones wait


class KafkaPartition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class WindowFill:
    """Adds the records before those that were read at the start, as far as the window reaches.

    Each step adds one block of one partition, so that new records need not wait for the old ones.
    """

    def __init__(
        self, bootstrap: str, topics: Topics, feed: TopicFeed, starts: Mapping[KafkaPartition, int]
    ) -> None:
        """Take where to read.

        Args:
            bootstrap: Kafka's address.
            topics: the deployment's.
            feed: takes the records.
            starts: the offsets before which records are to be added.
        """
        self._feed, self._ends = feed, dict(starts)
        self._places = list(starts)
        self._resources = ExitStack()
        self._readers = {
            topic: self._resources.enter_context(Reader(bootstrap, topic, headers=True))
            for topic in (topics.klines, topics.predictions)
        }

    @property
    def progress(self) -> str:
        """What is being done, in words; empty when all is done."""
        if not self._places:
            return ""
        done = len(self._ends) - len(self._places)
        return f"reading the recent candles: {done} of {len(self._ends)} partitions are done"

    def step(self) -> None:
        """Add a block.

        Raises:
            Unavailable: Kafka does not answer.
        """
        if not self._places:
            return
        place = self._places.pop(0)
        if not self._add_block(place):
            self._places.append(place)
        if not self._places:
            self.close()

    def close(self) -> None:
        """Close the connections."""
        self._resources.close()

    def _add_block(self, place: KafkaPartition) -> bool:
        """Add the block before what was added; return whether nothing more of it is needed."""
        reader, end = self._readers[place.topic], self._ends[place]
        oldest_ms = self._feed.board.oldest_wanted_ms
        first = reader.ends(place.partition)[0]
        begin = max(first, end - _BLOCK)
        if oldest_ms is None or begin >= end:
            return True
        newest_ms = self._feed.add_older(place.topic, _read_reversed(reader, place, begin, end))
        self._ends[place] = begin
        return begin == first or (newest_ms is not None and newest_ms < oldest_ms)


def _read_reversed(
    reader: Reader, place: KafkaPartition, begin: int, end: int
) -> Iterable[ConsumerRecord]:
    blocks = list(reader.read(place.partition, begin, end))
    return (record for block in reversed(blocks) for record in reversed(block))
