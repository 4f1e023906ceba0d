"""Read `klines` once, up to a fixed end, as arrays."""

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.klines import KlineCodec
from shared.core.arrays import Float64s, read_only64
from shared.core.errors import BadInput
from shared.core.records import Amendment, Candle, Record
from shared.core.sequence import SEQUENCE_COLUMNS, candle_values
from shared.core.topics import Topics, interval_ms, partition_for

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

    sequences: Mapping[str, Float64s]  # (n, columns), oldest candle first
    ends: Mapping[int, int]  # by partition: the offset up to which it was read
    refused: int  # records that contradict the log or do not decode: the predictor's dead letters


class Archive:
    """A deployment's klines topic."""

    def __init__(self, bootstrap: str, topics: Topics) -> None:
        """Take Kafka's address and the deployment's topics; connect on first use."""
        self._bootstrap, self._topics = bootstrap, topics
        self._codec = KlineCodec(topics.interval, interval_ms(topics.interval), topics.partitions)

    def ends(self) -> dict[int, int]:
        """Return the current end of each partition."""
        with Reader(self._bootstrap, self._topics.klines) as reader:
            return {each: reader.ends(each)[1] for each in range(reader.partitions())}

    def newest_ms(self) -> int | None:
        """Return the newest open time at the partitions' ends, or None if there is no candle."""
        return max(
            (
                record.open_time_ms
                for partition, end in self.ends().items()
                for _, record in self.records(partition, end - _TAIL, end)
                if isinstance(record, Candle)
            ),
            default=None,
        )

    def records(
        self, partition: int, start: int, end: int
    ) -> Iterator[tuple[int, Record | BadInput]]:
        """Yield the offsets and records of a partition from `start` up to, not including, `end`.

        A record that does not decode is yielded as its error.
        """
        for block in self._blocks(partition, start, end):
            for record in block:
                yield record.offset, self._decode(record.value, partition)

    def offset_at(self, partition: int, time_ms: int) -> int:
        """Return an offset before which every record is older than a time."""
        with Reader(self._bootstrap, self._topics.klines) as reader:
            return reader.offset_at(partition, time_ms)

    def read(
        self,
        span: TimeSpan,
        symbols: Collection[str] = (),
        keep: int | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> ArchivedCandles:
        """Return every symbol's candles up to the current end, at about 200 bytes a candle.

        Args:
            span: the open times wanted.
            symbols: the symbols wanted; none means all.
            keep: the largest number of candles of a symbol, the newest ones; bounds the memory.
            progress: called with the record count after each block; raise from it to abort.

        Raises:
            Unavailable: Kafka does not answer.
        """
        ends = self.ends()
        wanted = (
            {partition_for(s, self._topics.partitions) for s in symbols} if symbols else set(ends)
        )
        builder = _SequenceBuilder(span, frozenset(symbols), keep)
        for partition in sorted(wanted & set(ends)):
            start = self.offset_at(partition, span.from_ms) if span.from_ms > 0 else 0
            for block in self._blocks(partition, start, ends[partition]):
                for record in block:
                    builder.add(self._decode(record.value, partition))
                progress(len(block))
        return ArchivedCandles(builder.sequences(), ends, builder.refused)

    def _blocks(self, partition: int, start: int, end: int) -> Iterator[list[ConsumerRecord]]:
        with Reader(self._bootstrap, self._topics.klines) as reader:
            yield from reader.read(partition, max(start, 0), end)

    def _decode(self, value: bytes | None, partition: int) -> Record | BadInput:
        try:
            return self._codec.decode(value, partition)
        except BadInput as error:
            return error


@dataclass(slots=True)
class _SequenceBuilder:
    """Collects candles of each symbol in one flat array, row after row."""

    span: TimeSpan
    symbols: frozenset[str]
    keep: int | None
    refused: int = 0
    flat: defaultdict[str, "array[float]"] = field(
        default_factory=lambda: defaultdict(lambda: array("d"))
    )

    def add(self, record: Record | BadInput) -> None:
        """Append a candle, or replace the one that an amendment names."""
        if isinstance(record, Candle):
            self._append(record)
        elif isinstance(record, Amendment):
            self._amend(record.candle)
        elif isinstance(record, BadInput):
            self.refused += 1

    def sequences(self) -> dict[str, Float64s]:
        """Return the sequences by symbol, sorted by symbol."""
        found = {}
        for symbol in sorted(self.flat):
            self._trim(symbol)
            found[symbol] = read_only64(
                np.frombuffer(self.flat[symbol]).reshape(-1, SEQUENCE_COLUMNS)
            )
        return found

    def _append(self, candle: Candle) -> None:
        is_wanted = not self.symbols or candle.symbol in self.symbols
        if not (is_wanted and candle.open_time_ms in self.span):
            return
        flat = self.flat[candle.symbol]
        if flat and candle.open_time_ms <= flat[-SEQUENCE_COLUMNS]:
            self.refused += 1
            return
        flat.extend(candle_values(candle))
        if self.keep is not None and len(flat) >= 2 * self.keep * SEQUENCE_COLUMNS:
            self._trim(candle.symbol)

    def _amend(self, candle: Candle) -> None:
        flat = self.flat.get(candle.symbol)
        if flat is None:
            return
        count = len(flat) // SEQUENCE_COLUMNS
        time = float(candle.open_time_ms)
        at = bisect_left(range(count), time, key=lambda i: flat[i * SEQUENCE_COLUMNS])
        if at < count and flat[at * SEQUENCE_COLUMNS] == time:
            flat[at * SEQUENCE_COLUMNS : (at + 1) * SEQUENCE_COLUMNS] = array(
                "d", candle_values(candle)
            )

    def _trim(self, symbol: str) -> None:
        if self.keep is not None:
            del self.flat[symbol][: -self.keep * SEQUENCE_COLUMNS]
