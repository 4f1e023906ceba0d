"""The market's moves that the log has already."""

import threading
from collections.abc import Iterator, Mapping
from typing import Final

from shared.adapters.kafka.backwards_reader import read_backwards
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput
from shared.core.records import Candle, MarketMove
from shared.core.topics import Topics
from shared.log.klines_reader import KlinesReader

MAX_CANDLES: Final = 8_192  # of a symbol, the newest ones: four weeks of 5m
# The share of the candles with a move that is enough: the rest may be older than the log.
ENOUGH: Final = 0.9


class LoggedMarketMoves:
    """Reads the market's moves of recent candles, once for several threads that want the same."""

    def __init__(self, kafka: KafkaConnection, topics: Topics, codec: KlineCodec) -> None:
        """Store where the log is; connect on first use."""
        self._kafka, self._topics, self._codec = kafka, topics, codec
        self._lock = threading.Lock()
        self._moves: dict[int, MarketMove] = {}
        self._span_ms = (0, 0)

    def read(self, from_ms: int, until_ms: int) -> Mapping[int, MarketMove]:
        """Return the moves in candles that open in [from_ms, until_ms), by open time.

        They may begin later than `from_ms`: only the newest candles are read, and others may be
        among them. Of several moves in a candle, that of the most symbols counts.

        Raises:
            Unavailable: Kafka does not answer.
        """
        first_ms = max(from_ms, until_ms - MAX_CANDLES * self._codec.interval_ms)
        with self._lock:
            if not (self._span_ms[0] <= first_ms and until_ms <= self._span_ms[1]):
                self._moves = self._read(first_ms, until_ms)
                self._span_ms = (first_ms, until_ms)
            return self._moves

    def _read(self, from_ms: int, until_ms: int) -> dict[int, MarketMove]:
        """Read partition after partition, until one had a symbol that was followed all the time."""
        moves: dict[int, MarketMove] = {}
        wanted = len(range(from_ms, until_ms, self._codec.interval_ms))
        with KlinesReader(self._kafka, self._topics) as reader:
            for partition in range(reader.partitions()):
                if len(moves) >= ENOUGH * wanted:
                    break
                for candle in self._candles(reader, partition, from_ms):
                    known = moves.get(candle.open_time_ms)
                    move = candle.market if from_ms <= candle.open_time_ms < until_ms else None
                    if move is not None and (known is None or move.symbols > known.symbols):
                        moves[candle.open_time_ms] = move
        return moves

    def _candles(self, reader: KlinesReader, partition: int, from_ms: int) -> Iterator[Candle]:
        """Yield the candles of a partition, from its end back to the first of a time.

        Any number of old ones may lie among them: the history of a symbol that went in late.
        """
        start = reader.offset_at(partition, from_ms)
        for span in read_backwards(reader, partition, start=start):
            yield from self._decode(span, partition)

    def _decode(self, records: Iterator[ConsumerRecord], partition: int) -> Iterator[Candle]:
        for record in records:
            try:
                value = self._codec.decode(record.value, partition)
            except BadInput:  # no reader uses such a record
                continue
            if isinstance(value, Candle):
                yield value
