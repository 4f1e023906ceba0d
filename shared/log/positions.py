"""Where each symbol stands in the log, and the id of the one process that may write candles there."""

from collections import defaultdict
from collections.abc import Iterable

from shared.adapters.kafka.backwards_reader import await_settled, last_record_of_each_key
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput
from shared.core.records import Candle, Gap, covered_span_ms
from shared.core.topics import Topics, partition_for


def producer_transactional_id(topics: Topics) -> str:
    """Return the transactional id that all writers of candles share, so that the last to start fences the others."""
    return f"{topics.prefix}ulstm-producer-{topics.interval}"


def read_positions(
    bootstrap: str, topics: Topics, codec: KlineCodec, symbols: Iterable[str]
) -> dict[str, int]:
    """Return for each symbol in the log the open time in milliseconds of the candle that must come next.

    Only the end of each partition is read, as far back as needed to find every symbol's last candle or gap; one that
    has none is missing in the answer. Take the transactional id first: then no other writer can add to it.

    Raises:
        Unavailable: Kafka does not answer.
    """
    by_group: dict[int, list[bytes]] = defaultdict(list)
    for symbol in symbols:
        by_group[partition_for(symbol, topics.partitions)].append(symbol.encode())
    found: dict[str, int] = {}
    with Reader(bootstrap, topics.klines) as reader:
        await_settled(bootstrap, topics.klines, reader, by_group)
        for group, keys in by_group.items():
            last = last_record_of_each_key(
                reader, group, keys, lambda record: _next_ms(record, codec)
            )
            found.update({key.decode(): next_ms for key, next_ms in last.items()})
    return found


def _next_ms(record: ConsumerRecord, codec: KlineCodec) -> int | None:
    """Return what must follow a record; None for one that leaves its symbol where it was."""
    try:
        value = codec.decode(record.value, record.partition)
    except BadInput:  # every reader sets it aside
        return None
    return covered_span_ms(value, codec.interval_ms)[1] if isinstance(value, Candle | Gap) else None
