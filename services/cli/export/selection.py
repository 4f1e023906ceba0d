"""The records of a topic that an export wants."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.core.topics import partition_for


@dataclass(frozen=True, slots=True)
class Selection:
    """Open times and symbols that are wanted."""

    open_times_ms: range
    symbols: frozenset[str]  # empty: all

    def wants(self, symbol: str, open_time_ms: int) -> bool:
        """Return whether a candle, or the prediction of one, is wanted."""
        return open_time_ms in self.open_times_ms and (not self.symbols or symbol in self.symbols)


class SelectedRecords:
    """Records of the wanted symbols, up to the ends that the topic has at the beginning.

    A record's timestamp says when its candle opens or closes, so that only a part of the topic is
    read: it is no older than the first open time, and no newer than `last_timestamp_ms`.
    """

    def __init__(
        self, reader: Reader, selection: Selection, partitions: int, last_timestamp_ms: int
    ) -> None:
        """Look up the offsets.

        Args:
            reader: of the topic.
            selection: what is wanted.
            partitions: of the topic.
            last_timestamp_ms: the newest timestamp that is of interest.

        Raises:
            Unavailable: Kafka does not answer.
        """
        self._reader, self._last_timestamp_ms = reader, last_timestamp_ms
        self._keys = frozenset(symbol.encode() for symbol in selection.symbols)
        wanted = {partition_for(s, partitions) for s in selection.symbols} or set(range(partitions))
        self._offsets = {each: self._span(each, selection) for each in sorted(wanted)}

    @property
    def count(self) -> int:
        """How many offsets are read."""
        return sum(end - start for start, end in self._offsets.values())

    def read(self, on_block: Callable[[int], object]) -> Iterator[ConsumerRecord]:
        """Yield the records; call `on_block` with how many were read.

        Raises:
            Unavailable: Kafka does not answer.
        """
        for partition, (start, end) in self._offsets.items():
            for block in self._reader.read(partition, start, end):
                on_block(len(block))
                yield from filter(self._wants, block)

    def _wants(self, record: ConsumerRecord) -> bool:
        is_early = record.timestamp_ms <= self._last_timestamp_ms
        return is_early and (not self._keys or record.key in self._keys)

    def _span(self, partition: int, selection: Selection) -> tuple[int, int]:
        from_ms = selection.open_times_ms.start
        end = self._reader.ends(partition)[1]
        start = self._reader.offset_at(partition, from_ms) if from_ms > 0 else 0
        return min(start, end), end
