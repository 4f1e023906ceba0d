"""The position of each symbol in the log, and the transactional id of its only writer."""

from collections import defaultdict
from collections.abc import Iterable

from shared.adapters.kafka.backwards_reader import await_settled, last_record_of_each_key
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput
from shared.core.records import Candle, Gap, covered_span_ms
from shared.core.topics import Topics, partition_for


def producer_transactional_id(topics: Topics) -> str:
    """Return the transactional id of every writer of candles: the last to start fences others."""
    return f"{topics.prefix}ulstm-producer-{topics.interval}"


def read_positions(
    bootstrap: str, topics: Topics, codec: KlineCodec, symbols: Iterable[str]
) -> dict[str, int]:
    """Return the open time (ms) of the candle that must come next, for each symbol in the log.

    Reads each partition backwards until every symbol's last candle or gap is found; a symbol
    without one is missing in the result. Take the transactional id first: then no other writer
    can add records meanwhile.

    Raises:
        Unavailable: Kafka does not answer.
    """
    keys_by_partition: dict[int, list[bytes]] = defaultdict(list)
    for symbol in symbols:
        keys_by_partition[partition_for(symbol, topics.partitions)].append(symbol.encode())
    positions: dict[str, int] = {}
    with Reader(bootstrap, topics.klines) as reader:
        await_settled(reader, keys_by_partition)
        for partition, keys in keys_by_partition.items():
            last = last_record_of_each_key(
                reader, partition, keys, lambda record: _next_ms(record, codec)
            )
            positions.update({key.decode(): next_ms for key, next_ms in last.items()})
    return positions


def _next_ms(record: ConsumerRecord, codec: KlineCodec) -> int | None:
    """Return the open time that must follow a record; None if it does not move its symbol."""
    try:
        value = codec.decode(record.value, record.partition)
    except BadInput:  # no reader uses such a record
        return None
    return covered_span_ms(value, codec.interval_ms)[1] if isinstance(value, Candle | Gap) else None
