"""Read `klines` once, up to a fixed end, as arrays."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput
from shared.core.records import Amendment, Candle, Fill, Record
from shared.core.topics import Topics, interval_ms, partition_for
from shared.log.archived_sequences import ArchivedSequences, SequenceBuilder
from shared.log.klines_reader import KlinesReader

_TAIL: Final = 200  # records at a partition's end that are searched for the newest candle


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A closed interval of open times, in ms."""

    from_ms: int = 0
    through_ms: int = 253_402_300_799_999

    def __contains__(self, time_ms: int) -> bool:
        """Say whether an open time lies in the span."""
        return self.from_ms <= time_ms <= self.through_ms


@dataclass(frozen=True, slots=True, eq=False)
class ArchivedCandles:
    """The candles of the archive, by symbol."""

    sequences: ArchivedSequences
    ends: Mapping[int, int]  # by partition: the offset up to which it was read
    refused: int  # records that contradict the log or do not decode: the predictor's dead letters


class Archive:
    """A deployment's klines topic."""

    def __init__(self, kafka: KafkaConnection, topics: Topics) -> None:
        """Take Kafka's address and the deployment's topics; connect on first use."""
        self._kafka, self._topics = kafka, topics
        self._codec = KlineCodec(topics.interval, interval_ms(topics.interval), topics.partitions)

    def ends(self) -> dict[int, int]:
        """Return the current end of each partition."""
        with Reader(self._kafka, self._topics.klines) as reader:
            return {each: reader.ends(each)[1] for each in range(reader.partitions())}

    def newest_ms(self) -> int | None:
        """Return the newest open time of the log, or None if it has no candle.

        It may lie anywhere: the history of a symbol may have gone in after a younger one's.
        """
        with KlinesReader(self._kafka, self._topics) as reader:
            found = [self._newest_ms(reader, each) for each in range(reader.partitions())]
        return max((newest_ms for newest_ms in found if newest_ms is not None), default=None)

    def _newest_ms(self, reader: Reader, partition: int) -> int | None:
        """Return the newest open time of a partition."""
        # 1. It is among the last records, unless something later is elsewhere: a log that is
        #    written live ends this search here.
        end = reader.ends(partition)[1]
        last = list(chain.from_iterable(reader.read(partition, max(end - _TAIL, 0), end)))
        newest_ms = self._newest_of(last, -1)
        # 2. A record's time is its candle's close, so only the span with later times matters.
        start = reader.offset_at(partition, newest_ms + self._codec.interval_ms)
        for block in reader.read(partition, start, max(end - _TAIL, 0)):
            newest_ms = self._newest_of(block, newest_ms)
        return None if newest_ms < 0 else newest_ms

    def _newest_of(self, records: list[ConsumerRecord], newest_ms: int) -> int:
        """Return the newest open time of a candle, or the one known if that is newer.

        The latest record is decoded first, so that of millions only a few are.
        """
        later_ms = newest_ms + self._codec.interval_ms
        later = [record for record in records if record.timestamp_ms >= later_ms]
        for record in sorted(later, key=lambda each: each.timestamp_ms, reverse=True):
            value = self._codec.try_decode(record.value, record.partition)
            if isinstance(value, Candle):
                return max(newest_ms, value.open_time_ms)
        return newest_ms

    def records(
        self, partition: int, start: int, end: int
    ) -> Iterator[tuple[int, Record | BadInput]]:
        """Yield the offsets and records of a partition from `start` up to, not including, `end`.

        A record that does not decode is yielded as its error.
        """
        for block in self._blocks(partition, start, end):
            for record in block:
                yield record.offset, self._codec.try_decode(record.value, partition)

    def offset_at(self, partition: int, time_ms: int) -> int:
        """Return an offset before which every record is older than a time."""
        with KlinesReader(self._kafka, self._topics) as reader:
            return reader.offset_at(partition, time_ms)

    def read(
        self,
        span: TimeSpan,
        symbols: Collection[str] = (),
        keep: int | None = None,
        total: int | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> ArchivedCandles:
        """Return every symbol's candles up to the current end, at about 80 bytes a candle.

        Args:
            span: the open times wanted.
            symbols: the symbols wanted; none means all.
            keep: the largest number of candles of a symbol, the newest ones.
            total: the largest number of candles of all symbols together; bounds the memory.
            progress: called with the record count after each block; raise from it to abort.

        Raises:
            Unavailable: Kafka does not answer.
        """
        ends = self.ends()
        selection = _Selection(span, frozenset(symbols), SequenceBuilder(keep, total))
        for block in self._scan(span, symbols, ends):
            for record in block:
                selection.add(record)
            progress(len(block))
        return ArchivedCandles(selection.builder.sequences(), ends, selection.refused)

    def scan(self, span: TimeSpan) -> Iterator[Record | BadInput]:
        """Yield the records up to the current end, one partition after the other.

        All of the span are among them, and others. A record that does not decode is yielded as its
        error.

        Raises:
            Unavailable: Kafka does not answer.
        """
        return chain.from_iterable(self._scan(span, (), self.ends()))

    def _scan(
        self, span: TimeSpan, symbols: Collection[str], ends: Mapping[int, int]
    ) -> Iterator[list[Record | BadInput]]:
        wanted = {partition_for(s, self._topics.partitions) for s in symbols} or set(ends)
        for partition in sorted(wanted & set(ends)):
            start = self.offset_at(partition, span.from_ms) if span.from_ms > 0 else 0
            for block in self._blocks(partition, start, ends[partition]):
                yield [self._codec.try_decode(record.value, partition) for record in block]

    def _blocks(self, partition: int, start: int, end: int) -> Iterator[list[ConsumerRecord]]:
        with Reader(self._kafka, self._topics.klines) as reader:
            yield from reader.read(partition, max(start, 0), end)


@dataclass(slots=True)
class _Selection:
    """Adds the wanted candles among the records of a partition to a builder."""

    span: TimeSpan
    symbols: frozenset[str]
    builder: SequenceBuilder
    refused: int = 0

    def add(self, record: Record | BadInput) -> None:
        """Append a candle, replace the one that an amendment names, or put one into a gap."""
        match record:
            case Candle():
                self.refused += self._is_wanted(record) and not self.builder.append(record)
            case Amendment():
                self.builder.amend(record.candle)
            case Fill() if self._is_wanted(record.candle):
                self.refused += self.builder.fill(record.candle) is None
            case BadInput():
                self.refused += 1

    def _is_wanted(self, candle: Candle) -> bool:
        is_wanted = not self.symbols or candle.symbol in self.symbols
        return is_wanted and candle.open_time_ms in self.span
