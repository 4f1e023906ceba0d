"""The candles of all partitions, with their places, for the audit of the market's moves."""

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
from shared.core.records import Amendment, Candle, Fill
from shared.core.sequence import BASKET_CHANGES, BASKETS, MARKET_CHANGE, MARKET_SYMBOLS, OPEN_TIME
from shared.log.archived_sequences import ArchivedSequences, SequenceBuilder

_MOMENTS: Final = 2_048  # of a span: 2,000 symbols take 100 MB then
_FIRST_BASKET: Final = BASKET_CHANGES.start - MARKET_CHANGE

Span = tuple[int, int, int]
"""The first moment in ms, the number of moments, the interval in ms."""


class CandleCollector:
    """Collects the records of klines, at about 90 bytes a candle."""

    def __init__(self, codec: KlineCodec) -> None:
        """Begin without records."""
        self._codec, self._builder = codec, SequenceBuilder()
        self._offsets: defaultdict[str, array[int]] = defaultdict(lambda: array("q"))

    def add(self, record: ConsumerRecord) -> None:
        """Add a record; one that readers reject is passed over."""
        try:
            value = self._codec.decode(record.value, record.partition)
        except BadInput:
            return
        if isinstance(value, Candle):
            if self._builder.append(value):
                self._offsets[value.symbol].append(record.offset)
        elif isinstance(value, Amendment):
            self._builder.amend(value.candle)
        elif isinstance(value, Fill) and (at := self._builder.fill(value.candle)) is not None:
            self._offsets[value.candle.symbol].insert(at, record.offset)

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

    def spans(self, step_ms: int) -> Iterator[Span]:
        """Yield spans that together have all candles."""
        own = self.sequences.own.values()
        first_ms = min((int(each[0, OPEN_TIME]) for each in own), default=0)
        until_ms = max((int(each[-1, OPEN_TIME]) + step_ms for each in own), default=0)
        for start_ms in range(first_ms, until_ms, _MOMENTS * step_ms):
            yield start_ms, min(_MOMENTS, (until_ms - start_ms) // step_ms), step_ms

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
