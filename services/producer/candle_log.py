"""The log of candles in Kafka: its entries as records, and its only writer."""

import time
from collections.abc import Callable, Collection, Sequence

from services.producer.backfill.refused_entries import RefusalIsolation
from services.producer.backfill.sequencer import (
    CorrectedCandle,
    LogEntry,
    ReceivedCandle,
    SymbolCursor,
    UnreadableKline,
)
from services.producer.finality.candle_memory import LogTail
from services.producer.finality.log_tail import LogTailReader
from services.producer.settings import ProducerSettings
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.dead_letters import DeadLetter, dead_letter_headers
from shared.adapters.schemas.klines import add_market, encode_correction, encode_gap, encode_status
from shared.core.errors import Unavailable
from shared.core.records import Gap, SymbolStatus
from shared.core.topics import Topics, interval_ms, partition_for
from shared.log.kline_writer import KlineWriter
from shared.log.positions import SymbolPosition, read_symbol_positions


class KafkaCandleLog:
    """The topics `klines` and `dead-letters`, written with one transactional producer.

    See `CandleLog` in ports.py for the errors that the methods raise.
    """

    def __init__(self, settings: ProducerSettings, read_start_ms: Callable[[], int]) -> None:
        """Store the settings; `open` connects.

        Args:
            settings: where Kafka is, and the topics.
            read_start_ms: returns the open time of the first candle wanted of a symbol that is not
                in the log.
        """
        self._settings, self._read_start_ms = settings, read_start_ms
        self._producer: KlineWriter | None = None
        self._isolation = RefusalIsolation(self._write, interval_ms(settings.interval))

    def open(self) -> None:
        """Fence other writers: what is read from now on stays true."""
        self.close()
        self._producer = KlineWriter(self._settings.kafka, self._settings.topics)

    def read_cursors(self, symbols: Collection[str]) -> dict[str, SymbolCursor]:
        """Read where each of the symbols is."""
        settings = self._settings
        positions = read_symbol_positions(settings.kafka, settings.topics, settings.codec, symbols)
        start_ms = self._read_start_ms()
        return {each: to_cursor(each, positions.get(each), start_ms) for each in symbols}

    def read_tail(self, newest_ms: int, on_tail: Callable[[LogTail], object]) -> None:
        """Read the end of the log on another thread."""
        settings = self._settings
        reader = LogTailReader(settings.kafka, settings.topics, settings.codec)
        reader.start(newest_ms, on_tail)

    def append(self, entries: Sequence[LogEntry]) -> None:
        """Append entries in one transaction, or in more around one that Kafka refuses."""
        self._isolation.write(entries)

    def close(self) -> None:
        """Close the connection."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def _write(self, entries: Sequence[LogEntry]) -> None:
        if self._producer is None:
            raise Unavailable("the log of candles is not open yet")
        now_ms = time.time_ns() // 1_000_000
        topics = self._settings.topics
        self._producer.write([to_producer_record(entry, topics, now_ms) for entry in entries])


def to_cursor(symbol: str, position: SymbolPosition | None, start_ms: int) -> SymbolCursor:
    """Place a symbol where the log has it, or at `start_ms` if it begins, or begins anew."""
    if position is None:
        return SymbolCursor(symbol, start_ms, is_new=True)
    status = None if position.status is None else position.status.status
    next_ms = position.next_open_time_ms
    if position.is_new:
        next_ms = max(next_ms, start_ms)
    return SymbolCursor(symbol, next_ms, position.is_new, status=status)


def to_producer_record(entry: LogEntry, topics: Topics, now_ms: int) -> ProducerRecord:
    """Return the record of an entry.

    The record's timestamp is a candle's close, a gap's end, the time of a status, or the arrival of
    an unreadable kline, all in milliseconds.

    Args:
        entry: the entry to append.
        topics: the deployment's topics.
        now_ms: the time now, for the header `arrival_ms` of a gap or a status.
    """
    if isinstance(entry, UnreadableKline):
        return _dead_letter(entry, topics)
    if isinstance(entry, SymbolStatus):
        value = encode_status(entry, topics.interval)
        source, arrival_ms, end_ms = "producer", now_ms, entry.time_ms
    elif isinstance(entry, Gap):
        value = encode_gap(entry, topics.interval)
        source, arrival_ms, end_ms = "rest", now_ms, entry.until_open_time_ms
    else:
        candle = entry.candle if isinstance(entry, CorrectedCandle) else entry
        value, source, arrival_ms = _value(entry), candle.source, candle.arrival_ms
        end_ms = candle.open_time_ms + interval_ms(topics.interval)
    headers = [("source", source.encode()), ("arrival_ms", str(arrival_ms).encode())]
    partition = partition_for(entry.symbol, topics.partitions)
    key = entry.symbol.encode()
    return ProducerRecord(topics.klines, partition, key, value, end_ms - 1, headers)


def _value(entry: ReceivedCandle | CorrectedCandle) -> bytes:
    """Return the bytes of a record; a correction leaves the market's move as it was."""
    if isinstance(entry, CorrectedCandle):
        return encode_correction(entry.candle.value, entry.kind)
    return entry.value if entry.market is None else add_market(entry.value, entry.market)


def _dead_letter(kline: UnreadableKline, topics: Topics) -> ProducerRecord:
    key, origin = kline.symbol.encode() or None, kline.origin
    source = f"exchange:{origin.source}"
    letter = DeadLetter(source, 0, -1, key, origin.original, kline.reason, kline.message)
    headers = dead_letter_headers(letter)
    return ProducerRecord(topics.dead_letters, 0, key, origin.original, origin.arrival_ms, headers)
