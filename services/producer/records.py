"""Map log entries to Kafka records. PURE."""

import re
from typing import Final

from services.producer.sequencer import LogEntry, ReceivedCandle, UnreadableKline
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.dead_letters import DeadLetter, dead_letter_headers
from shared.adapters.schemas.klines import GapMessage, encode_record
from shared.core.records import Gap
from shared.core.topics import Topics, interval_ms, partition_for

SYMBOL_PATTERN: Final = re.compile(r"[A-Z0-9]{2,30}")  # the symbols that readers of the log accept


def to_producer_record(entry: LogEntry, topics: Topics, now_ms: int) -> ProducerRecord:
    """Return the record of an entry.

    The record's timestamp is a candle's close, a gap's end, or the arrival of an unreadable kline,
    all in milliseconds.

    Args:
        entry: the entry to append.
        topics: the deployment's topics.
        now_ms: the time now, for the header `arrival_ms` of a gap.
    """
    if isinstance(entry, UnreadableKline):
        return _dead_letter(entry, topics)
    if isinstance(entry, Gap):
        return _gap(entry, topics, now_ms)
    return _candle(entry, topics)


def _candle(candle: ReceivedCandle, topics: Topics) -> ProducerRecord:
    return ProducerRecord(
        topics.klines,
        partition_for(candle.symbol, topics.partitions),
        candle.symbol.encode(),
        candle.value,
        candle.open_time_ms + interval_ms(topics.interval) - 1,
        _headers(candle.source, candle.arrival_ms),
    )


def _gap(gap: Gap, topics: Topics, now_ms: int) -> ProducerRecord:
    message = GapMessage(
        type="gap",
        symbol=gap.symbol,
        interval=topics.interval,
        from_open_time_ms=gap.from_open_time_ms,
        until_open_time_ms=gap.until_open_time_ms,
    )
    return ProducerRecord(
        topics.klines,
        partition_for(gap.symbol, topics.partitions),
        gap.symbol.encode(),
        encode_record(message),
        gap.until_open_time_ms - 1,
        _headers("rest", now_ms),
    )


def _dead_letter(kline: UnreadableKline, topics: Topics) -> ProducerRecord:
    key = kline.symbol.encode() or None
    source = f"exchange:{kline.source}"
    letter = DeadLetter(source, 0, -1, key, kline.original, kline.reason, kline.message)
    headers = dead_letter_headers(letter)
    return ProducerRecord(topics.dead_letters, 0, key, kline.original, kline.arrival_ms, headers)


def _headers(source: str, arrival_ms: int) -> list[tuple[str, bytes]]:
    return [("source", source.encode()), ("arrival_ms", str(arrival_ms).encode())]
