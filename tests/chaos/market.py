"""Records published during the faults: candles, and everything else that a log may hold."""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.adapters.kafka.errors import Aborted, OutcomeUnknown
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas.klines import encode_gap
from shared.core.errors import Unavailable
from shared.core.records import Gap
from shared.core.topics import Topics, partition_for
from tests.support.builders import START_MS, STEP_MS, candle_bytes

WINDOW: Final = 16  # candles that a prediction needs
# The round in which each symbol starts; each of the three partitions has some of them.
JOINS: Final = {
    "BTCUSDT": 0, "ETHUSDT": 0, "SOLUSDT": 0, "XRPUSDT": 0, "ADAUSDT": 0, "DOGEUSDT": 0,
    "ATOMUSDT": 0, "APTUSDT": 0, "ARBUSDT": 60, "DOTUSDT": 150, "AVAXUSDT": 200, "LINKUSDT": 700,
    "SUIUSDT": 2500,
}  # fmt: skip
GAP, AMENDMENT, BAD = 0.01, 0.01, 0.01  # probabilities, for each symbol and round


@dataclass(slots=True)
class MarketRound:
    """The records of one moment, published in one transaction."""

    records: list[ProducerRecord] = field(default_factory=list)
    # Predictions that they must lead to: (symbol, open time in ms).
    due: list[tuple[str, int]] = field(default_factory=list)


class ChaosMarket:
    """Draws rounds from a seed, one after another."""

    def __init__(self, seed: int, topics: Topics) -> None:
        self._rng = random.Random(seed)
        self._topics = topics
        self._number = 0
        self._next_at: dict[str, int] = {}  # candles are numbered from START_MS
        self._counted: dict[str, int] = {}
        self._closes: dict[str, float] = {}

    def next_round(self) -> MarketRound:
        found = MarketRound()
        for symbol, joins in JOINS.items():
            if joins <= self._number:
                self._symbol(symbol, found)
        self._number += 1
        return found

    def _symbol(self, symbol: str, found: MarketRound) -> None:
        at = self._next_at.get(symbol, self._number)
        partition = partition_for(symbol, self._topics.partitions)
        if self._rng.random() < GAP:
            until = at + self._rng.randint(1, 5)
            found.records.append(self._record(partition, symbol, _gap(symbol, at, until), until))
            at = until
        self._closes[symbol] = self._closes.get(symbol, 100.0) * (1 + self._rng.gauss(0, 0.002))
        candle = candle_bytes(at, symbol, f"{self._closes[symbol]:.6f}")
        found.records.append(self._record(partition, symbol, candle, at))
        if self._rng.random() < BAD:
            found.records.append(self._bad(symbol, at, candle))
        if self._rng.random() < AMENDMENT:
            back = at - self._rng.randint(0, 9)
            close = f"{self._closes[symbol] * (1 + self._rng.gauss(0, 0.002)):.6f}"
            amendment = candle_bytes(back, symbol, close, type="amendment")
            found.records.append(self._record(partition, symbol, amendment, at))
        self._next_at[symbol] = at + 1
        self._counted[symbol] = self._counted.get(symbol, 0) + 1
        if self._counted[symbol] >= WINDOW:
            found.due.append((symbol, START_MS + (at + 1) * STEP_MS))

    def _bad(self, symbol: str, at: int, candle: bytes) -> ProducerRecord:
        partition = partition_for(symbol, self._topics.partitions)
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
        if self._rng.random() < 0.1:  # in the wrong partition
            return self._record((partition + 1) % self._topics.partitions, symbol, candle, at)
        return self._record(partition, symbol, self._rng.choice(values), at)

    def _record(self, partition: int, symbol: str, value: bytes | None, at: int) -> ProducerRecord:
        return ProducerRecord(self._topics.klines, partition, symbol.encode(), value, _time_ms(at))


class Publisher:
    """Publishes rounds from a thread; after an unknown outcome it reads the log to find out."""

    def __init__(
        self, bootstrap: str, topics: Topics, rounds: Iterator[MarketRound], pace_s: float
    ) -> None:
        self._bootstrap, self._topics = bootstrap, topics
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
        writer = TransactionalProducer(self._bootstrap, f"{self._topics.prefix}market")
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
                    self._bootstrap, f"{self._topics.prefix}market", exclusive_id=True
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
        with Reader(self._bootstrap, self._topics.klines) as reader:
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


def _gap(symbol: str, at: int, until: int) -> bytes:
    return encode_gap(Gap(symbol, _time_ms(at), _time_ms(until)), "5m")
