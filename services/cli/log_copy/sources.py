"""The records of another deployment's topics, each with its place in the new one."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import merge
from itertools import chain, islice
from operator import attrgetter
from typing import Final

from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import topic_id
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.core.control import CopyProgress
from shared.core.topics import Topics, partition_for
from shared.log.promotion_log import PromotionLog

COPIED_FROM: Final = "copied-from"  # header: topic/partition/offset of the record that was copied
_MERGED: Final = 16  # partitions read side by side: each takes a connection and its buffer


@dataclass(frozen=True, slots=True)
class CopiedRecord:
    """A record for the new log, and the place in the old one that it is of."""

    partition: int
    offset: int
    record: ProducerRecord | None  # None: passed over


@dataclass(frozen=True, slots=True)
class TopicSource:
    """A topic of the deployment that is copied, from where the last copy ended.

    Attributes:
        settings: of the deployment that is copied.
        topic: its topic.
        id: Kafka's id of the topic: two clusters may have topics of one name.
        starts: by partition, the offset to go on from.
        ends: by partition, the offset to stop at.
    """

    settings: ServiceSettings
    topic: str
    id: str
    starts: Mapping[int, int]
    ends: Mapping[int, int]

    @classmethod
    def open(
        cls, settings: ServiceSettings, topic: str, copied: Mapping[str, Mapping[int, int]]
    ) -> "TopicSource":
        """Look up a topic's id and its ends of this moment.

        Args:
            settings: of the deployment that is copied.
            topic: its topic.
            copied: by topic id, the offsets to go on from.

        Raises:
            Unavailable: Kafka does not answer, or has no such topic.
        """
        name = topic_id(settings.kafka, topic)
        with Reader(settings.kafka, topic) as reader:
            ends = {each: reader.ends(each)[1] for each in range(reader.partitions())}
        return cls(settings, topic, name, copied.get(name, {}), ends)

    def read(self) -> Iterator[ConsumerRecord]:
        """Yield the records, merged by time as far as few enough partitions allow it."""
        partitions = iter(sorted(self.ends))
        while several := list(islice(partitions, _MERGED)):
            with ExitStack() as stack:
                parts = [self._read_partition(stack, partition) for partition in several]
                yield from merge(*parts, key=attrgetter("timestamp_ms"))

    def progress(self, next_offsets: Mapping[int, int]) -> CopyProgress:
        """Return the record that says how far the topic was copied."""
        return CopyProgress(self.topic, self.id, dict(next_offsets))

    def _read_partition(self, stack: ExitStack, partition: int) -> Iterator[ConsumerRecord]:
        reader = stack.enter_context(Reader(self.settings.kafka, self.topic, headers=True))
        start = self.starts.get(partition, 0)
        return chain.from_iterable(reader.read(partition, start, self.ends[partition]))


def klines_records(
    source: TopicSource, target: Topics, promotions: PromotionLog
) -> Iterator[CopiedRecord]:
    """Yield the klines in the partitions of the target's symbol groups, promotions left out.

    A promotion has its place among the candles of one partition, and there is no such place where
    other symbols share it: the target gets promotions of its own.
    """
    for record in source.read():
        if promotions.decode(record) is not None:
            yield CopiedRecord(record.partition, record.offset, None)
            continue
        partition = _partition_of(record.key, target.partitions)
        yield _copied(source, record, target.klines, partition)


def other_records(source: TopicSource, target: str) -> Iterator[CopiedRecord]:
    """Yield the records of a topic with one partition, as they are."""
    for record in source.read():
        yield _copied(source, record, target, 0)


def _copied(
    source: TopicSource, record: ConsumerRecord, topic: str, partition: int
) -> CopiedRecord:
    place = f"{source.topic}/{record.partition}/{record.offset}"
    headers = [*(record.headers or {}).items(), (COPIED_FROM, place.encode())]
    copied = ProducerRecord(
        topic, partition, record.key, record.value, record.timestamp_ms, headers
    )
    return CopiedRecord(record.partition, record.offset, copied)


def _partition_of(key: bytes | None, partitions: int) -> int:
    """Return a record's partition; a key that is no symbol gets any, and stays unreadable."""
    return partition_for((key or b"").decode(errors="replace"), partitions)
