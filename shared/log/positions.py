"""The position of each symbol in the log."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from shared.adapters.kafka.backwards_reader import await_settled, last_record_of_each_key
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput
from shared.core.records import Candle, Gap, SymbolStatus, covered_span_ms
from shared.core.topics import Topics, partition_for


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

    Reads each partition backwards until every symbol's last candle is found, or the status that it
    began or ended with; a symbol without either is missing in the result. Corrections do not move a
    symbol. Take the transactional id first: then no other writer can add records meanwhile.

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
class _Search:
    """Puts positions together from the records of a partition, the newest first."""

    codec: KlineCodec
    found: dict[str, SymbolPosition] = field(default_factory=dict)
    _statuses: dict[str, SymbolStatus] = field(default_factory=dict)

    def add(self, record: ConsumerRecord) -> SymbolPosition | None:
        """Add a record; return its symbol's position if nothing before it matters."""
        try:
            value = self.codec.decode(record.value, record.partition)
        except BadInput:  # no reader uses such a record
            return None
        if isinstance(value, SymbolStatus):
            return self._add_status(value)
        if not isinstance(value, Candle | Gap):
            return None
        until_ms = covered_span_ms(value, self.codec.interval_ms)[1]
        position = self._move(value.symbol, until_ms)
        return position if isinstance(value, Candle) or position.status else None

    def _add_status(self, status: SymbolStatus) -> SymbolPosition | None:
        symbol = status.symbol
        last = self._statuses.setdefault(symbol, status)
        if symbol in self.found:  # by a gap after the status
            self.found[symbol] = replace(self.found[symbol], status=last)
            return self.found[symbol]
        return self._move(symbol, status.time_ms) if status.resets_symbol else None

    def _move(self, symbol: str, next_ms: int) -> SymbolPosition:
        position = SymbolPosition(next_ms, self._statuses.get(symbol))
        return self.found.setdefault(symbol, position)
