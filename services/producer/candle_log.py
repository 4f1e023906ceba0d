"""The log of candles in Kafka."""

import time
from collections.abc import Sequence

from services.producer.records import to_producer_record
from services.producer.sequencer import LogEntry, SymbolCursor, initial_cursors
from services.producer.settings import ProducerSettings
from shared.adapters.kafka.producer import TransactionalProducer
from shared.core.errors import Unavailable
from shared.log.positions import producer_transactional_id, read_positions


class KafkaCandleLog:
    """The topics `klines` and `dead-letters`, written with one transactional producer.

    See `CandleLog` in ports.py for the errors that the methods raise.
    """

    def __init__(self, settings: ProducerSettings, symbols: Sequence[str], start_ms: int) -> None:
        """Store the settings; `open` connects.

        Args:
            settings: where Kafka is, and the topics.
            symbols: the symbols followed.
            start_ms: open time of the first candle wanted of a symbol that is not in the log.
        """
        self._settings, self._symbols, self._start_ms = settings, symbols, start_ms
        self._producer: TransactionalProducer | None = None

    def open(self) -> dict[str, SymbolCursor]:
        """Fence other writers, then read where each symbol is."""
        self.close()
        # In this order: once other writers are fenced, nothing can be added behind the positions
        # read here.
        self._producer = TransactionalProducer(
            self._settings.kafka_bootstrap_servers,
            producer_transactional_id(self._settings.topics),
        )
        return self.read_cursors()

    def read_cursors(self) -> dict[str, SymbolCursor]:
        """Read where each symbol is."""
        settings = self._settings
        positions = read_positions(
            settings.kafka_bootstrap_servers, settings.topics, settings.codec, self._symbols
        )
        return initial_cursors(self._symbols, positions, self._start_ms)

    def append(self, entries: Sequence[LogEntry]) -> None:
        """Append entries in one transaction."""
        if self._producer is None:
            raise Unavailable("the log of candles is not open yet")
        now_ms = time.time_ns() // 1_000_000
        topics = self._settings.topics
        self._producer.write([to_producer_record(entry, topics, now_ms) for entry in entries])

    def close(self) -> None:
        """Close the connection."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None
