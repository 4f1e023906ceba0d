"""The end of the log at a start: the newest candles, and the gaps of a week."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from services.producer.finality.candle_memory import LogTail, TailCandle, fingerprint
from shared.adapters.kafka.backwards_reader import await_settled
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput, Unavailable
from shared.core.records import Amendment, Candle, Fill, Gap, SymbolStatus
from shared.core.topics import Topics
from shared.log.klines_reader import KlinesReader

log = logging.getLogger(__name__)

CANDLES_MS: Final = 2 * 3_600_000
GAPS_MS: Final = 7 * 86_400_000
MAX_RECORDS: Final = 3_000_000  # of all partitions: some seconds


class LogTailReader:
    """Reads the end of the log on a thread of its own."""

    def __init__(self, kafka: KafkaConnection, topics: Topics, codec: KlineCodec) -> None:
        """Store where the log is."""
        self._kafka, self._topics, self._codec = kafka, topics, codec

    def start(self, newest_ms: int, on_tail: Callable[[LogTail], object]) -> None:
        """Begin to read.

        Args:
            newest_ms: the log's newest open time, from which the spans count back.
            on_tail: takes what was read, on the reading thread; not called without Kafka's answer.
        """
        arguments = (newest_ms, on_tail)
        threading.Thread(target=self._run, args=arguments, name="log-tail", daemon=True).start()

    def _run(self, newest_ms: int, on_tail: Callable[[LogTail], object]) -> None:
        try:
            on_tail(self.read(newest_ms))
        except Unavailable as error:
            log.warning("the log's newest candles are not compared with the exchange: %s", error)

    def read(self, newest_ms: int) -> LogTail:
        """Return the end of the log.

        Raises:
            Unavailable: Kafka does not answer, or a transaction stays open.
        """
        collected = TailCollector(self._codec, newest_ms - CANDLES_MS)
        with KlinesReader(self._kafka, self._topics) as reader:
            partitions = range(self._topics.partitions)
            await_settled(reader, partitions)
            for partition in partitions:
                for record in self._records(reader, partition, newest_ms - GAPS_MS):
                    collected.add(record)
        return collected.tail()

    def _records(
        self, reader: KlinesReader, partition: int, from_ms: int
    ) -> Iterator[ConsumerRecord]:
        end = reader.ends(partition)[1]
        limit = MAX_RECORDS // self._topics.partitions
        start = max(reader.offset_at(partition, from_ms), end - limit)
        for block in reader.read(partition, start, end):
            yield from block


class TailCollector:
    """Collects newest candles and open gaps from records in the order of the log. PURE."""

    def __init__(self, codec: KlineCodec, candles_from_ms: int) -> None:
        """Start with nothing.

        Args:
            codec: decodes the records.
            candles_from_ms: candles that open before are not kept.
        """
        self._codec, self._candles_from_ms = codec, candles_from_ms
        self._values: dict[tuple[str, int], bytes] = {}
        self._corrections: Counter[tuple[str, int]] = Counter()
        self._gaps: list[Gap] = []

    def add(self, record: ConsumerRecord) -> None:
        """Take a record; what cannot be read is no matter of the log's tail."""
        value = record.value or b""
        # Most records are old candles, which need not be decoded.
        if record.timestamp_ms < self._candles_from_ms and b'"type":"candle"' in value:
            return
        try:
            decoded = self._codec.decode(record.value, record.partition)
        except BadInput:
            return
        if isinstance(decoded, Gap):
            self._gaps.append(decoded)
        elif isinstance(decoded, SymbolStatus) and decoded.ends_symbol:
            self._drop(decoded.symbol)
        elif isinstance(decoded, Candle):
            self._add_candle(decoded, value)
        elif isinstance(decoded, Amendment | Fill):
            candle = decoded.candle
            self._corrections[candle.symbol, candle.open_time_ms] += 1
            self._add_candle(candle, value, is_fill=isinstance(decoded, Fill))

    def _add_candle(self, candle: Candle, value: bytes, *, is_fill: bool = False) -> None:
        key = candle.symbol, candle.open_time_ms
        if candle.open_time_ms >= self._candles_from_ms or is_fill or key in self._values:
            self._values[key] = value

    def _drop(self, symbol: str) -> None:
        """Forget a symbol that ends: what was before is not corrected any more."""
        self._gaps = [gap for gap in self._gaps if gap.symbol != symbol]
        self._values = {key: value for key, value in self._values.items() if key[0] != symbol}

    def tail(self) -> LogTail:
        """Return the tail collected."""
        candles = [
            TailCandle(*key, fingerprint(value), self._corrections[key])
            for key, value in self._values.items()
        ]
        return LogTail(candles, self._gaps)
