"""Read the log's candles and market moves in the span of an import."""

from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from services.cli.candle_import.market_history import LoggedMarket
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.spool import Chunk, Spool
from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.records import Amendment, Candle, Correction, Fill, Gap, Record
from shared.core.sequence import MARKET_CHANGE, OPEN_TIME, own_values
from shared.core.topics import Topics, interval_ms
from shared.log.archive import Archive, TimeSpan

_NO_CANDLES: Final = np.empty((0, MARKET_CHANGE))
_ROWS: Final = 1_024  # of a symbol that wait in memory


@dataclass(frozen=True, slots=True, eq=False)
class LoggedSymbol:
    """What the log has of a symbol in the span of the recordings."""

    candles: Float64s = field(default_factory=lambda: _NO_CANDLES)  # (n, 9), ascending in time
    gaps: Collection[tuple[int, int]] = ()  # open times in ms; the second is excluded


@dataclass(slots=True)
class _LoggedRecords:
    """A symbol's records of the span; its candles are in a spool."""

    gaps: list[tuple[int, int]] = field(default_factory=list)
    _chunks: list[Chunk] = field(default_factory=list)
    _waiting: "array[float]" = field(default_factory=lambda: array("d"))
    _corrections: list[Correction] = field(default_factory=list)

    def append(self, candle: Candle, spool: Spool) -> None:
        self._waiting.extend(own_values(candle))
        if len(self._waiting) >= _ROWS * MARKET_CHANGE:
            self._chunks.append(spool.append(self._waiting.tobytes()))
            self._waiting = array("d")

    def correct(self, correction: Correction) -> None:
        self._corrections.append(correction)

    def read(self, spool: Spool) -> LoggedSymbol:
        """Return the candles as they are corrected, and the gaps."""
        data = b"".join([*map(spool.read, self._chunks), self._waiting.tobytes()])
        rows = np.frombuffer(data).reshape(-1, MARKET_CHANGE)
        return LoggedSymbol(_correct(_newer(rows), self._corrections), self.gaps)


class LoggedSymbols(Mapping[str, LoggedSymbol]):
    """The logged records of each symbol, read on access: take one after the other."""

    def __init__(self, records: Mapping[str, _LoggedRecords], spool: Spool) -> None:
        """Take the records and the spool that has their candles."""
        self._records, self._spool = records, spool

    def __getitem__(self, symbol: str) -> LoggedSymbol:
        """Return a symbol's candles and gaps."""
        return self._records[symbol].read(self._spool)

    def __iter__(self) -> Iterator[str]:
        """Yield the symbols that the log has candles or gaps of."""
        return iter(self._records)

    def __len__(self) -> int:
        """Return the number of symbols."""
        return len(self._records)


@dataclass(frozen=True, slots=True, eq=False)
class LogContents:
    """The part of the log that the recordings of an import overlap."""

    symbols: LoggedSymbols  # those of the recordings that it has candles or gaps of
    market: LoggedMarket


def read_log_contents(
    kafka: KafkaConnection, topics: Topics, next_ms: Mapping[str, int], from_ms: int, spool: Spool
) -> LogContents:
    """Read the log from the moment before a time on.

    Args:
        kafka: how Kafka is reached.
        topics: of the deployment.
        next_ms: by symbol of the recordings: the open time that its log must continue with.
        from_ms: the first open time of the recordings.
        spool: keeps the candles.

    Raises:
        Unavailable: Kafka does not answer.
        BadSetting: the spool's disk is full.
    """
    overlapping = {symbol for symbol, ends_ms in next_ms.items() if ends_ms > from_ms}
    span = TimeSpan(from_ms - interval_ms(topics.interval))
    records = Archive(kafka, topics).scan(span)
    market = LoggedMarket(span.from_ms, interval_ms(topics.interval))
    return collect_contents(records, overlapping, market, spool)


def collect_contents(
    records: Iterable[Record | BadInput], symbols: Set[str], market: LoggedMarket, spool: Spool
) -> LogContents:
    """Return the candles, gaps and market moves of a log's records.

    Args:
        records: in the order of the log.
        symbols: whose candles and gaps are kept.
        market: takes the candles of all symbols.
        spool: keeps the candles.
    """
    found: defaultdict[str, _LoggedRecords] = defaultdict(_LoggedRecords)
    for record in records:
        match record:
            case Candle():
                market.add(record)
                if record.symbol in symbols and record.open_time_ms >= market.from_ms:
                    found[record.symbol].append(record, spool)
            case Fill(candle) | Amendment(candle) if candle.symbol in symbols:
                found[candle.symbol].correct(record)
            case Gap(symbol, first_ms, until_ms) if symbol in symbols:
                found[symbol].gaps.append((first_ms, until_ms))
            case _:
                pass
    return LogContents(LoggedSymbols(found, spool), market)


def _newer(rows: Float64s) -> Float64s:
    """Return the candles (n, 9) that are newer than those before them: others are stale repeats."""
    newest = np.maximum.accumulate(rows[:, OPEN_TIME])
    return rows[np.diff(newest, prepend=-1.0) > 0]


def _correct(candles: Float64s, corrections: Iterable[Correction]) -> Float64s:
    """Return candles (n, 9) with the fills and amendments that apply to them."""
    known, corrected = set(candles[:, OPEN_TIME].tolist()), dict[float, tuple[float, ...]]()
    for correction in corrections:
        row = own_values(correction.candle)
        is_there = row[OPEN_TIME] in known or row[OPEN_TIME] in corrected
        if is_there == isinstance(correction, Amendment):
            corrected[row[OPEN_TIME]] = row
    if not corrected:
        return candles
    others = candles[~np.isin(candles[:, OPEN_TIME], list(corrected))]
    rows = np.concatenate([others, np.array(list(corrected.values()))])
    return rows[np.argsort(rows[:, OPEN_TIME])]
