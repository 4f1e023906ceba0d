"""The position of each symbol in the log."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from shared.adapters.kafka.backwards_reader import await_settled, last_record_of_each_key
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput
from shared.core.records import Candle, Gap, SymbolStatus, covered_span_ms
from shared.core.topics import Topics, partition_for

_CERTAIN: Final = 8  # candles of a symbol, the newest of which is taken for the newest of all


@dataclass(frozen=True, slots=True)
class SymbolPosition:
    """Where a symbol is in the log.

    Attributes:
        next_open_time_ms: open time of the candle that must come next.
        status: the symbol's last status; None if a candle has come after it, or there is none.
    """

    next_open_time_ms: int
    status: SymbolStatus | None = None

    @property
    def is_new(self) -> bool:
        """Whether the symbol begins with its next candle, which may open later without a gap."""
        return self.status is not None and self.status.resets_symbol


def read_positions(
    kafka: KafkaConnection, topics: Topics, codec: KlineCodec, symbols: Iterable[str]
) -> dict[str, int]:
    """Return the open time (ms) of the candle that must come next: see read_symbol_positions."""
    positions = read_symbol_positions(kafka, topics, codec, symbols)
    return {symbol: position.next_open_time_ms for symbol, position in positions.items()}


def read_symbol_positions(
    kafka: KafkaConnection, topics: Topics, codec: KlineCodec, symbols: Iterable[str]
) -> dict[str, SymbolPosition]:
    """Return where each symbol is in the log.

    Reads each partition backwards until every symbol's newest candle is certain, or until the
    status is found that it began or ended with; a symbol without either is missing in the result.
    Corrections do not move a symbol. Take the transactional id first: then no other writer can add
    records meanwhile.

    A candle that comes once more, long after its time, is rejected by every reader; it must not be
    taken for the newest. So time decides, among the last eight candles of a symbol.

    Raises:
        Unavailable: Kafka does not answer.
    """
    keys_by_partition: dict[int, list[bytes]] = defaultdict(list)
    for symbol in symbols:
        keys_by_partition[partition_for(symbol, topics.partitions)].append(symbol.encode())
    search = _Search(codec)
    with Reader(kafka, topics.klines) as reader:
        await_settled(reader, keys_by_partition)
        for partition, keys in keys_by_partition.items():
            last_record_of_each_key(reader, partition, keys, search.add)
    return search.found


@dataclass(slots=True)
class _SymbolSearch:
    """Puts a symbol's position together from its records, the last of the log first."""

    position: SymbolPosition | None = None
    _status: SymbolStatus | None = None  # the last of the log
    _candles: int = 0

    def add_candle(self, until_ms: int) -> bool:
        """Add a candle; return whether no record before it matters."""
        if self.position is None or until_ms > self.position.next_open_time_ms:
            self.position = SymbolPosition(until_ms, self._status)
        self._candles += 1
        return self._candles == _CERTAIN

    def add_gap(self, until_ms: int) -> bool:
        """Add a gap; return whether no record before it matters."""
        if self.position is None or until_ms > self.position.next_open_time_ms:
            self.position = SymbolPosition(until_ms, self._status)
        return self._status is not None and not self._candles

    def add_status(self, status: SymbolStatus) -> bool:
        """Add a status; return whether no record before it matters."""
        self._status = self._status or status
        position = self.position
        if status.resets_symbol:
            # What comes after an end, or a listing, and is of an earlier time, is rejected.
            if position is None or position.next_open_time_ms <= status.time_ms:
                self.position = SymbolPosition(status.time_ms, self._status)
            return True
        if position is not None and not self._candles:  # by a gap after the status
            self.position = replace(position, status=self._status)
            return True
        return False


@dataclass(slots=True)
class _Search:
    """Puts positions together from the records of a partition, the last first."""

    codec: KlineCodec
    _searches: defaultdict[str, _SymbolSearch] = field(
        default_factory=lambda: defaultdict(_SymbolSearch)
    )

    @property
    def found(self) -> dict[str, SymbolPosition]:
        """The positions by symbol."""
        searches = self._searches.items()
        return {symbol: one.position for symbol, one in searches if one.position is not None}

    def add(self, record: ConsumerRecord) -> SymbolPosition | None:
        """Add a record; return its symbol's position if nothing before it matters."""
        try:
            value = self.codec.decode(record.value, record.partition)
        except BadInput:  # no reader uses such a record
            return None
        if not isinstance(value, Candle | Gap | SymbolStatus):
            return None
        search = self._searches[value.symbol]
        return search.position if self._add(search, value) else None

    def _add(self, search: _SymbolSearch, value: Candle | Gap | SymbolStatus) -> bool:
        if isinstance(value, SymbolStatus):
            return search.add_status(value)
        until_ms = covered_span_ms(value, self.codec.interval_ms)[1]
        is_candle = isinstance(value, Candle)
        return search.add_candle(until_ms) if is_candle else search.add_gap(until_ms)
