"""Fill the recent window from the log, backwards and in small blocks."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Final, NamedTuple

from services.dashboard.live.topic_feed import TopicFeed
from shared.adapters.kafka.connection import KafkaConnection
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
        self,
        kafka: KafkaConnection,
        topics: Topics,
        feed: TopicFeed,
        starts: Mapping[KafkaPartition, int],
    ) -> None:
        """Take where to read.

        Args:
            kafka: how Kafka is reached.
            topics: the deployment's.
            feed: takes the records.
            starts: the offsets before which records are to be added.
        """
        self._feed, self._ends = feed, dict(starts)
        self._places = list(starts)
        self._shares = dict.fromkeys(starts, 0.0)  # of the window, as far as it was read
        self._resources = ExitStack()
        self._readers = {
            topic: self._resources.enter_context(Reader(kafka, topic, headers=True))
            for topic in (topics.klines, topics.predictions)
        }

    @property
    def progress(self) -> str:
        """What is being done, in words; empty when all is done."""
        if not self._places:
            return ""
        share = sum(self._shares.values()) / len(self._shares) if self._shares else 1.0
        return f"reading the recent candles: {share:.0%}"

    def step(self) -> None:
        """Add a block.

        Raises:
            Unavailable: Kafka does not answer.
        """
        if not self._places:
            return
        place = self._places.pop(0)
        self._shares[place] = self._add_block(place)
        if self._shares[place] < 1.0:
            self._places.append(place)
        if not self._places:
            self.close()

    def close(self) -> None:
        """Close the connections."""
        self._resources.close()

    def _add_block(self, place: KafkaPartition) -> float:
        """Add the block before what was added; return the share of the window that is read now."""
        reader, end, board = self._readers[place.topic], self._ends[place], self._feed.board
        oldest_ms, newest_ms = board.oldest_wanted_ms, board.newest_open_time_ms
        first = reader.ends(place.partition)[0]
        begin = max(first, end - _BLOCK)
        if oldest_ms is None or newest_ms is None or begin >= end:
            return 1.0
        read_ms = self._feed.add_older(place.topic, _read_reversed(reader, place, begin, end))
        self._ends[place] = begin
        if begin == first or (read_ms is not None and read_ms < oldest_ms):
            return 1.0
        known_ms = newest_ms if read_ms is None else read_ms
        return max(0.0, min(0.99, (newest_ms - known_ms) / (newest_ms - oldest_ms)))


def _read_reversed(
    reader: Reader, place: KafkaPartition, begin: int, end: int
) -> Iterable[ConsumerRecord]:
    blocks = list(reader.read(place.partition, begin, end))
    return (record for block in reversed(blocks) for record in reversed(block))
