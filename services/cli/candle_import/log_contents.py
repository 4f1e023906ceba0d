"""Read the log's candles and market moves in the span of an import."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field

import numpy as np

from services.cli.candle_import.market_history import LoggedMarket
from shared.adapters.kafka.connection import KafkaConnection
from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.records import Amendment, Candle, Fill, Gap, Record
from shared.core.sequence import MARKET_CHANGE
from shared.core.topics import Topics, interval_ms
from shared.log.archive import Archive, TimeSpan
from shared.log.archived_sequences import SequenceBuilder

_NO_CANDLES = np.empty((0, MARKET_CHANGE))


@dataclass(frozen=True, slots=True, eq=False)
class LoggedSymbol:
    """What the log has of a symbol in the span of the recordings."""

    candles: Float64s = field(default_factory=lambda: _NO_CANDLES)  # (n, 9), ascending in time
    gaps: Collection[tuple[int, int]] = ()  # open times in ms; the second is excluded


@dataclass(frozen=True, slots=True, eq=False)
class LogContents:
    """The part of the log that the recordings of an import overlap."""

    symbols: Mapping[str, LoggedSymbol]  # those of the recordings that it has candles or gaps of
    market: LoggedMarket


def read_log_contents(
    kafka: KafkaConnection, topics: Topics, next_ms: Mapping[str, int], from_ms: int
) -> LogContents:
    """Read the log from the moment before a time on.

    Args:
        kafka: how Kafka is reached.
        topics: of the deployment.
        next_ms: by symbol of the recordings: the open time that its log must continue with.
        from_ms: the first open time of the recordings.

    Raises:
        Unavailable: Kafka does not answer.
    """
    overlapping = {symbol for symbol, ends_ms in next_ms.items() if ends_ms > from_ms}
    span = TimeSpan(from_ms - interval_ms(topics.interval))
    return collect_contents(Archive(kafka, topics).scan(span), overlapping, from_ms, span)


def collect_contents(
    records: Iterable[Record | BadInput], symbols: Set[str], from_ms: int, span: TimeSpan
) -> LogContents:
    """Return the candles, gaps and market moves of a log's records from an open time on.

    Args:
        records: in the order of the log.
        symbols: whose candles and gaps are kept.
        from_ms: the first open time that is kept.
        span: of the market's moves.
    """
    found, market = _Contents(symbols, from_ms), LoggedMarket()
    for record in records:
        if isinstance(record, Candle) and record.open_time_ms in span:
            market.add(record)
        found.add(record)
    return LogContents(found.by_symbol(), market)


@dataclass(slots=True)
class _Contents:
    symbols: Set[str]
    from_ms: int
    candles: SequenceBuilder = field(default_factory=SequenceBuilder)
    gaps: defaultdict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, record: Record | BadInput) -> None:
        match record:
            case Candle() if self._is_wanted(record):
                self.candles.append(record)
            case Fill(candle) if self._is_wanted(candle):
                self.candles.fill(candle)
            case Amendment(candle) if self._is_wanted(candle):
                self.candles.amend(candle)
            case Gap(symbol, first_ms, until_ms) if symbol in self.symbols:
                self.gaps[symbol].append((first_ms, until_ms))
            case _:
                pass

    def _is_wanted(self, candle: Candle) -> bool:
        return candle.symbol in self.symbols and candle.open_time_ms >= self.from_ms

    def by_symbol(self) -> dict[str, LoggedSymbol]:
        own = self.candles.sequences().own
        return {
            symbol: LoggedSymbol(own.get(symbol, _NO_CANDLES), self.gaps.get(symbol, ()))
            for symbol in {*own, *self.gaps}
        }
