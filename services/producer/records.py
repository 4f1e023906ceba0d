"""What goes onto the topics for each entry. PURE."""

from services.producer.sequencer import LogEntry, UnreadableKline
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas import DeadLetter, GapMessage, dead_letter_headers, encode_record
from shared.core.records import Gap
from shared.core.topics import Topics, interval_ms, partition_for


def to_producer_records(entry: LogEntry, topics: Topics, now_ms: int) -> ProducerRecord:
    """Return the record of an entry. Its time is the candle's close, or the end of the gap; a letter's is its arrival.

    Args:
        entry: what to write.
        topics: of this deployment.
        now_ms: goes into a gap's headers, as arrival.
    """
    if isinstance(entry, UnreadableKline):
        return _letter(entry, topics)
    group = partition_for(entry.symbol, topics.partitions)
    key = entry.symbol.encode()
    if isinstance(entry, Gap):
        start, end = entry.from_open_time_ms, entry.until_open_time_ms
        message = GapMessage(
            type="gap",
            symbol=entry.symbol,
            interval=topics.interval,
            from_open_time_ms=start,
            until_open_time_ms=end,
        )
        return ProducerRecord(
            topics.klines, group, key, encode_record(message), end - 1, _headers("rest", now_ms)
        )
    close_ms = entry.open_time_ms + interval_ms(topics.interval) - 1
    return ProducerRecord(
        topics.klines, group, key, entry.value, close_ms, _headers(entry.source, entry.arrival_ms)
    )


def _letter(entry: UnreadableKline, topics: Topics) -> ProducerRecord:
    key = entry.symbol.encode() or None
    place = f"exchange:{entry.source}"
    letter = DeadLetter(place, 0, -1, key, entry.original, entry.reason, entry.message)
    headers = dead_letter_headers(letter)
    return ProducerRecord(topics.dead_letters, 0, key, entry.original, entry.arrival_ms, headers)


def _headers(source: str, arrival_ms: int) -> list[tuple[str, bytes]]:
    return [("source", source.encode()), ("arrival_ms", str(arrival_ms).encode())]
