"""The candles of all partitions in a span, with their places, for the audit of the moves."""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.klines import KlineCodec
from shared.core.arrays import Float64s
from shared.core.audit.market_rules import LoggedMedians
from shared.core.errors import BadInput
from shared.core.records import Amendment, Candle, Fill, Record
from shared.core.sequence import BASKET_CHANGES, BASKETS, MARKET_CHANGE, MARKET_SYMBOLS, OPEN_TIME
from shared.log.archived_sequences import ArchivedSequences, SequenceBuilder

_MOST_MOMENTS: Final = 2_048
_FEWEST_MOMENTS: Final = 64
_CANDLES: Final = 500_000  # of a span, at about 90 bytes each, and as much again to compare them
_FIRST_BASKET: Final = BASKET_CHANGES.start - MARKET_CHANGE

ALL_TIMES: Final = range(2**62)

Span = tuple[int, int, int]
"""The first moment in ms, the number of moments, the interval in ms."""


def market_spans(times_ms: range, symbols: int, step_ms: int) -> Iterator[Span]:
    """Yield spans, one after the other, that take a bounded memory each.

    Args:
        times_ms: the open times of all of them.
        symbols: the number of symbols.
        step_ms: the interval.
    """
    moments = min(max(_CANDLES // max(symbols, 1), _FEWEST_MOMENTS), _MOST_MOMENTS)
    for start_ms in range(times_ms.start, times_ms.stop, moments * step_ms):
        yield start_ms, min(moments, -(-(times_ms.stop - start_ms) // step_ms)), step_ms


class CandleCollector:
    """Collects the candles of a span of open times, at about 90 bytes each."""

    def __init__(self, codec: KlineCodec, times_ms: range = ALL_TIMES) -> None:
        """Begin without records."""
        self._codec, self._times_ms, self._builder = codec, times_ms, SequenceBuilder()
        self._offsets: defaultdict[str, array[int]] = defaultdict(lambda: array("q"))
        self._newest_ms: dict[str, int] = {}  # of all records: readers reject what is older

    def add(self, record: ConsumerRecord) -> None:
        """Add a record; one that readers reject is passed over."""
        try:
            value = self._codec.decode(record.value, record.partition)
        except BadInput:
            return
        candle = value.candle if isinstance(value, Amendment | Fill) else value
        if isinstance(candle, Candle):
            is_in_span = candle.open_time_ms in self._times_ms
            if isinstance(value, Candle):
                self._append(value, record.offset, is_in_span)
            elif is_in_span:
                self._correct(value, candle, record.offset)

    def _append(self, candle: Candle, offset: int, is_in_span: bool) -> None:
        if candle.open_time_ms <= self._newest_ms.get(candle.symbol, -1):
            return
        self._newest_ms[candle.symbol] = candle.open_time_ms
        if is_in_span and self._builder.append(candle):
            self._offsets[candle.symbol].append(offset)

    def _correct(self, value: Record, candle: Candle, offset: int) -> None:
        if isinstance(value, Amendment):
            self._builder.amend(candle)
        elif (at := self._builder.fill(candle)) is not None:
            self._offsets[candle.symbol].insert(at, offset)

    def candles(self) -> "LoggedCandles":
        """Return the candles collected, with their offsets."""
        offsets = {s: np.frombuffer(a, dtype=np.int64) for s, a in self._offsets.items()}
        return LoggedCandles(self._builder.sequences(), offsets)


@dataclass(frozen=True, slots=True, eq=False)
class MoveEntries:
    """The market's columns of the candles of a span, those of one symbol after the other."""

    symbols: Sequence[str]  # (n,)
    offsets: NDArray[np.int64]  # (n,)
    moments: NDArray[np.int64]  # (n,), counted from the span's first
    columns: Float64s  # (n, 15)

    @property
    def versions(self) -> Float64s:
        """The versions of the baskets as numbers (n,); NaN: none."""
        return np.asarray(self.columns[:, BASKETS - MARKET_CHANGE])

    def market_medians(self) -> LoggedMedians:
        """Return the market's moves that are known."""
        members = np.nan_to_num(self.columns[:, MARKET_SYMBOLS - MARKET_CHANGE]).astype(np.int64)
        rows = np.arange(len(self.columns))
        return LoggedMedians(rows, self.moments, self.columns[:, 0], members).known()

    def basket_medians(self, code: float, number: int, members: int) -> LoggedMedians:
        """Return the moves of a version's basket, of so many members, that are known."""
        rows = np.flatnonzero(self.versions == code)
        values = self.columns[rows, _FIRST_BASKET + number]
        counts = np.full(len(rows), members)
        return LoggedMedians(rows, self.moments[rows], values, counts).known()


@dataclass(frozen=True, slots=True, eq=False)
class LoggedCandles:
    """The candles of all partitions."""

    sequences: ArchivedSequences
    offsets: dict[str, NDArray[np.int64]]  # by symbol, (n,)

    def entries(self, symbols: Sequence[str], span: Span) -> MoveEntries:
        """Return the entries of some symbols, at least one, in a span."""
        first_ms, moments, step_ms = span
        names, offsets, times, columns = list[str](), [], [], []
        for symbol in symbols:
            own = self.sequences.own[symbol][:, OPEN_TIME]
            start, end = np.searchsorted(own, [first_ms, first_ms + moments * step_ms])
            names += [symbol] * int(end - start)
            offsets.append(self.offsets[symbol][start:end])
            times.append(own[start:end])
            columns.append(self.sequences.market_columns(symbol, slice(start, end)))
        at = (np.concatenate(times).astype(np.int64) - first_ms) // step_ms
        return MoveEntries(names, np.concatenate(offsets), at, np.concatenate(columns))
