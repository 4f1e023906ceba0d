"""Records published during the faults: candles, and everything else that a log may hold."""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import Aborted, OutcomeUnknown
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas.klines import encode_gap, encode_status
from shared.core.errors import Unavailable
from shared.core.records import Gap, SymbolStatus
from shared.core.topics import Topics, partition_for
from tests.support.builders import START_MS, STEP_MS, candle_bytes

WINDOW: Final = 16  # candles that a prediction needs
# The round in which each symbol starts; each of the three partitions has some of them.
JOINS: Final = {
    "BTCUSDT": 0, "ETHUSDT": 0, "SOLUSDT": 0, "XRPUSDT": 0, "ADAUSDT": 0, "DOGEUSDT": 0,
    "ATOMUSDT": 0, "APTUSDT": 0, "ARBUSDT": 60, "DOTUSDT": 150, "AVAXUSDT": 200, "LINKUSDT": 700,
    "SUIUSDT": 2500,
}  # fmt: skip
GAP, CORRECTION, BAD, END = 0.01, 0.02, 0.01, 0.002  # probabilities, each symbol and round


@dataclass(slots=True)
class MarketRound:
    """The records of one moment, published in one transaction."""

    records: list[ProducerRecord] = field(default_factory=list)
    # Predictions that they must lead to: (symbol, open time in ms).
    due: list[tuple[str, int]] = field(default_factory=list)


@dataclass(slots=True)
class MarketSymbol:
    """One symbol: its price, the number of its next candle, and the candles that it has."""

    next_at: int  # candles are numbered from START_MS
    close: float = 100.0
    present: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)  # covered by gaps


class ChaosMarket:
    """Draws rounds from a seed, one after another."""

    def __init__(self, seed: int, topics: Topics) -> None:
        self._rng = random.Random(seed)
        self._topics = topics
        self._number = 0
        self._symbols: dict[str, MarketSymbol] = {}

    def next_round(self) -> MarketRound:
        found = MarketRound()
        for symbol, joins in JOINS.items():
            if joins <= self._number:
                self._symbol(symbol, found)
        self._number += 1
        return found

    def _symbol(self, symbol: str, found: MarketRound) -> None:
        one = self._symbols.setdefault(symbol, MarketSymbol(self._number))
        if one.present and self._rng.random() < END:
            found.records += self._end(symbol, one)
        if one.present and self._rng.random() < GAP:
            found.records.append(self._gap(symbol, one))
        at, one.next_at = one.next_at, one.next_at + 1
        candle = candle_bytes(at, symbol, self._next_close(one))
        found.records.append(self._record(symbol, candle, at))
        one.present.append(at)
        if len(one.present) >= WINDOW:
            found.due.append((symbol, START_MS + (at + 1) * STEP_MS))
        if self._rng.random() < BAD:
            found.records.append(self._bad(symbol, at, candle))
        if self._rng.random() < CORRECTION:
            found.records.append(self._correction(symbol, one))

    def _gap(self, symbol: str, one: MarketSymbol) -> ProducerRecord:
        at, one.next_at = one.next_at, one.next_at + self._rng.randint(1, 5)
        one.missing += range(at, one.next_at)
        gap = Gap(symbol, _time_ms(at), _time_ms(one.next_at))
        return self._record(symbol, encode_gap(gap, "5m"), one.next_at)

    def _end(self, symbol: str, one: MarketSymbol) -> list[ProducerRecord]:
        """End the symbol, and begin it anew some candles later."""
        at, one.next_at = one.next_at, one.next_at + self._rng.randint(0, 5)
        one.present, one.missing = [], []
        ended = SymbolStatus(symbol, _time_ms(at), "removed", "by the user")
        listed = SymbolStatus(symbol, _time_ms(one.next_at), "listed", "by the user")
        return [self._record(symbol, encode_status(each, "5m"), at) for each in (ended, listed)]

    def _correction(self, symbol: str, one: MarketSymbol) -> ProducerRecord:
        """Fill a gap if there is one, or amend one of the newest candles."""
        kind = "fill" if one.missing else "amendment"
        at = one.missing.pop(0) if one.missing else self._rng.choice(one.present[-9:])
        if kind == "fill":
            one.present = sorted([*one.present, at])
        value = candle_bytes(at, symbol, self._next_close(one), type=kind)
        return self._record(symbol, value, one.next_at)

    def _next_close(self, one: MarketSymbol) -> str:
        one.close *= 1 + self._rng.gauss(0, 0.002)
        return f"{one.close:.6f}"

    def _bad(self, symbol: str, at: int, candle: bytes) -> ProducerRecord:
        values = [
            b"",
            b'{"type":',
            candle[:-9],
            b"[" * 3000,
            b"x" * 5000,
            candle.replace(b'"volume":"12.5"', b'"volume":"NaN"'),
            candle.replace(b'"interval":"5m"', b'"interval":"1m"'),
            candle,  # a second time
            candle_bytes(at, symbol, "99.5"),  # with other values
            candle_bytes(max(at - 3, 0), symbol, "99.5"),  # too late
            None,
        ]
        if self._rng.random() < 0.1:
            return self._record(symbol, candle, at, partitions_off=1)
        return self._record(symbol, self._rng.choice(values), at)

    def _record(
        self, symbol: str, value: bytes | None, at: int, partitions_off: int = 0
    ) -> ProducerRecord:
        partition = partition_for(symbol, self._topics.partitions) + partitions_off
        partition %= self._topics.partitions
        return ProducerRecord(self._topics.klines, partition, symbol.encode(), value, _time_ms(at))


class Publisher:
    """Publishes rounds from a thread; after an unknown outcome it reads the log to find out."""

    def __init__(
        self, kafka: KafkaConnection, topics: Topics, rounds: Iterator[MarketRound], pace_s: float
    ) -> None:
        self._kafka, self._topics = kafka, topics
        self._rounds, self._pace_s = rounds, pace_s
        self.newest: dict[str, int] = {}  # by symbol: open time of the last prediction that is due
        self.due: set[tuple[str, int]] = set()
        self.retried = 0  # transactions aborted or of unknown outcome
        self._writer: TransactionalProducer | None = None
        self._known_ends: dict[int, int] = {}  # by partition: where to look for unknown outcomes
        self._stop = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def publish_some(self, rounds: int) -> None:
        """Publish rounds before the first promotion: they lead to no prediction."""
        writer = TransactionalProducer(self._kafka, f"{self._topics.prefix}market")
        for _ in range(rounds):
            writer.write(next(self._rounds).records)
        writer.close()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            self._publish()
        except BaseException as error:
            self._failed = error
            raise

    def _publish(self) -> None:
        if not self._connect():
            return
        for found in self._rounds:
            if self._stop.wait(self._pace_s) or not self._publish_round(found):
                break
            self.newest.update(found.due)
            self.due.update(found.due)
        self._disconnect()

    def _publish_round(self, found: MarketRound) -> bool:
        """Publish a round exactly once, however often it is retried; return False if stopped."""
        while self._writer is not None:
            try:
                self._writer.write(found.records)
            except (Aborted, OutcomeUnknown):
                self.retried += 1
                self._disconnect()
                if self._connect() and self._is_in_log(found.records[0]):
                    return True
            else:
                return True
        return False

    def _connect(self) -> bool:
        """Create the producer, which aborts a transaction left open; return False if stopped."""
        while not self._stop.is_set():
            try:
                self._writer = TransactionalProducer(
                    self._kafka, f"{self._topics.prefix}market", exclusive_id=True
                )
            except Unavailable:
                self._stop.wait(0.5)
            else:
                return True
        return False

    def _disconnect(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _is_in_log(self, record: ProducerRecord) -> bool:
        with Reader(self._kafka, self._topics.klines) as reader:
            while not self._stop.is_set():
                try:
                    if reader.is_settled(record.partition):
                        return self._is_in_partition(reader, record)
                except Unavailable:
                    pass
                self._stop.wait(0.5)
        return False

    def _is_in_partition(self, reader: Reader, record: ProducerRecord) -> bool:
        start, end = self._known_ends.get(record.partition, 0), reader.ends(record.partition)[1]
        values = [r.value for block in reader.read(record.partition, start, end) for r in block]
        self._known_ends[record.partition] = end
        return record.value in values


def rounds_of(market: ChaosMarket) -> Iterator[MarketRound]:
    while True:
        yield market.next_round()


def _time_ms(at: int) -> int:
    return START_MS + at * STEP_MS
