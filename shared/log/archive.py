"""The archive: `klines` read once up to a fixed end, as arrays."""

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
from shared.core.sequence import SEQUENCE_COLUMNS
from shared.core.topics import Topics, interval_ms, partition_for

_TAIL: Final = 200  # records at a partition's end among which the newest candle is looked for


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Open times from one up to and including another, in ms."""

    from_ms: int = 0
    through_ms: int = 253_402_300_799_999

    def __contains__(self, time_ms: int) -> bool:
        """Say whether an open time lies in the span."""
        return self.from_ms <= time_ms <= self.through_ms


@dataclass(frozen=True, slots=True, eq=False)
class ArchivedCandles:
    """What the archive held: sequences (n, columns) by symbol, oldest candle first."""

    sequences: Mapping[str, Float64s]
    ends: Mapping[int, int]  # by symbol group: the offset up to which it was read
    refused: int  # records that contradict the log or do not decode: the predictor's dead letters


class Archive:
    """A deployment's klines topic, to be read as a whole."""

    def __init__(self, bootstrap: str, topics: Topics) -> None:
        """Take where the log is; connects on first use."""
        self._bootstrap, self._topics = bootstrap, topics
        self._codec = KlineCodec(topics.interval, interval_ms(topics.interval), topics.partitions)

    def ends(self) -> dict[int, int]:
        """Return each symbol group's end at this moment."""
        with Reader(self._bootstrap, self._topics.klines) as reader:
            return {group: reader.ends(group)[1] for group in range(reader.partitions())}

    def newest_ms(self) -> int | None:
        """Return the newest open time at the symbol groups' ends, or None if there is no candle."""
        newest = None
        for group, end in self.ends().items():
            for _, record in self.records(group, end - _TAIL, end):
                if isinstance(record, Candle):
                    newest = max(newest or 0, record.open_time_ms)
        return newest

    def records(self, group: int, start: int, end: int) -> Iterator[tuple[int, Record | BadInput]]:
        """Yield a symbol group's offsets and records from one offset up to, not including, another.

        A record that does not decode comes as the error that says why.
        """
        for block in self._blocks(group, start, end):
            for received in block:
                yield received.offset, self._decoded(received.value, group)

    def offset_at(self, group: int, time_ms: int) -> int:
        """Return an offset before which every record is older than a time."""
        with Reader(self._bootstrap, self._topics.klines) as reader:
            return reader.offset_at(group, time_ms)

    def read(
        self,
        span: TimeSpan,
        symbols: Collection[str] = (),
        keep: int | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> ArchivedCandles:
        """Return every symbol's candles up to the end at this moment; about 50 bytes a candle.

        Args:
            span: the open times wanted.
            symbols: the symbols wanted; none means all.
            keep: at most so many of each symbol's newest candles, which bounds the memory.
            progress: told after every block of records how many there were; what it raises stops the reading.
        """
        ends = self.ends()
        wanted = (
            {partition_for(s, self._topics.partitions) for s in symbols} if symbols else set(ends)
        )
        columns = _Columns(span, frozenset(symbols), keep)
        for group in sorted(wanted & set(ends)):
            start = self.offset_at(group, span.from_ms) if span.from_ms > 0 else 0
            for block in self._blocks(group, start, ends[group]):
                for received in block:
                    columns.take(self._decoded(received.value, group))
                progress(len(block))
        return ArchivedCandles(columns.sequences(), ends, columns.refused)

    def _blocks(self, group: int, start: int, end: int) -> Iterator[list[ConsumerRecord]]:
        with Reader(self._bootstrap, self._topics.klines) as reader:
            yield from reader.read(group, max(start, 0), end)

    def _decoded(self, value: bytes | None, group: int) -> Record | BadInput:
        try:
            return self._codec.decode(value, group)
        except BadInput as error:
            return error


@dataclass(slots=True)
class _Columns:
    """Candles as they come, flat in the order of a sequence's columns."""

    span: TimeSpan
    symbols: frozenset[str]
    keep: int | None
    refused: int = 0
    flat: defaultdict[str, "array[float]"] = field(
        default_factory=lambda: defaultdict(lambda: array("d"))
    )

    def take(self, record: Record | BadInput) -> None:
        """Append a candle, or change the one that an amendment names."""
        if isinstance(record, Candle):
            self._append(record)
        elif isinstance(record, Amendment):
            self._amend(record.candle)
        elif isinstance(record, BadInput):
            self.refused += 1

    def sequences(self) -> dict[str, Float64s]:
        """Return the sequences by symbol, in the symbols' order."""
        found = {}
        for symbol in sorted(self.flat):
            self._trim(symbol, self.keep)
            found[symbol] = read_only64(
                np.frombuffer(self.flat[symbol]).reshape(-1, SEQUENCE_COLUMNS)
            )
        return found

    def _append(self, candle: Candle) -> None:
        if not self._is_wanted(candle):
            return
        flat = self.flat[candle.symbol]
        if flat and candle.open_time_ms <= flat[-SEQUENCE_COLUMNS]:
            self.refused += 1
            return
        flat.extend(_row(candle))
        if self.keep is not None and len(flat) >= 2 * self.keep * SEQUENCE_COLUMNS:
            self._trim(candle.symbol, self.keep)

    def _amend(self, candle: Candle) -> None:
        flat = self.flat.get(candle.symbol)
        if flat is None:
            return
        count = len(flat) // SEQUENCE_COLUMNS
        time = float(candle.open_time_ms)
        at = bisect_left(range(count), time, key=lambda i: flat[i * SEQUENCE_COLUMNS])
        if at < count and flat[at * SEQUENCE_COLUMNS] == time:
            flat[at * SEQUENCE_COLUMNS : (at + 1) * SEQUENCE_COLUMNS] = array("d", _row(candle))

    def _is_wanted(self, candle: Candle) -> bool:
        return candle.open_time_ms in self.span and (
            not self.symbols or candle.symbol in self.symbols
        )

    def _trim(self, symbol: str, keep: int | None) -> None:
        if keep is not None:
            del self.flat[symbol][: -keep * SEQUENCE_COLUMNS]


def _row(candle: Candle) -> tuple[float, ...]:
    c = candle
    return float(c.open_time_ms), c.open, c.high, c.low, c.close, c.volume
