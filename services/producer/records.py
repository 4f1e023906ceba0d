"""What goes onto the topics for each entry. PURE."""

from services.producer.contiguity import Entry, Unreadable
from shared.adapters.kafka.topics import Topics
from shared.adapters.kafka.writer import Outgoing
from shared.adapters.messages import DeadLetter, GapMessage, dead_letter_headers, encode_record
from shared.core.candle import Gap, interval_ms, symbol_group


def outgoing(entry: Entry, topics: Topics, now_ms: int) -> Outgoing:
    """Return the record of an entry. Its time is the candle's close, or the end of the gap; a letter's is its arrival.

    Args:
        entry: what to write.
        topics: of this deployment.
        now_ms: goes into a gap's headers, as arrival.
    """
    if isinstance(entry, Unreadable):
        return _letter(entry, topics)
    group = symbol_group(entry.symbol, topics.groups)
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
        return Outgoing(topics.klines, group, key, encode_record(message), end - 1, _headers("rest", now_ms))
    close_ms = entry.open_time_ms + interval_ms(topics.interval) - 1
    return Outgoing(topics.klines, group, key, entry.value, close_ms, _headers(entry.source, entry.arrival_ms))


def _letter(entry: Unreadable, topics: Topics) -> Outgoing:
    key = entry.symbol.encode() or None
    place = f"exchange:{entry.source}"
    letter = DeadLetter(place, 0, -1, key, entry.original, entry.reason, entry.message)
    headers = dead_letter_headers(letter)
    return Outgoing(topics.dead_letters, 0, key, entry.original, entry.arrival_ms, headers)


def _headers(source: str, arrival_ms: int) -> list[tuple[str, bytes]]:
    return [("source", source.encode()), ("arrival_ms", str(arrival_ms).encode())]
