"""What is published while faults happen: candles of several symbols, and everything that a log may hold beside them."""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.adapters.kafka.errors import Aborted, OutcomeUnknown
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas.klines import GapMessage, encode_record
from shared.core.errors import Unavailable
from shared.core.topics import Topics, partition_for
from tests.support.builders import START_MS, STEP_MS, candle_bytes

WINDOW: Final = 16  # candles that a prediction takes
# the number of the round in which a symbol comes up; the three symbol groups hold some of each
JOINS: Final = {
    "BTCUSDT": 0, "ETHUSDT": 0, "SOLUSDT": 0, "XRPUSDT": 0, "ADAUSDT": 0, "DOGEUSDT": 0, "ATOMUSDT": 0, "APTUSDT": 0,
    "ARBUSDT": 60, "DOTUSDT": 150, "AVAXUSDT": 200, "LINKUSDT": 700, "SUIUSDT": 2500,
}  # fmt: skip
GAP, AMENDMENT, BAD = 0.01, 0.01, 0.01  # chances, by symbol and round


@dataclass(frozen=True, slots=True)
class SymbolFeed:
    """A record to publish."""

    group: int
    key: str
    value: bytes | None
    time_ms: int


@dataclass(slots=True)
class Round:
    """What one moment brings: published in one transaction."""

    lines: list[SymbolFeed] = field(default_factory=list)
    due: list[tuple[str, int]] = field(
        default_factory=list
    )  # predictions it must lead to: symbol, open time


class ChaosMarket:
    """Rounds drawn from a seed, one after another."""

    def __init__(self, seed: int, groups: int) -> None:
        self._chance = random.Random(seed)
        self._groups = groups
        self._number = 0
        self._next_at: dict[str, int] = {}  # candles are numbered from START_MS
        self._counted: dict[str, int] = {}
        self._closes: dict[str, float] = {}

    def next_round(self) -> Round:
        found = Round()
        for symbol, joins in JOINS.items():
            if joins <= self._number:
                self._symbol(symbol, found)
        self._number += 1
        return found

    def _symbol(self, symbol: str, found: Round) -> None:
        at = self._next_at.get(symbol, self._number)
        group = partition_for(symbol, self._groups)
        if self._chance.random() < GAP:
            until = at + self._chance.randint(1, 5)
            found.lines.append(SymbolFeed(group, symbol, _gap(symbol, at, until), _time_ms(until)))
            at = until
        self._closes[symbol] = self._closes.get(symbol, 100.0) * (1 + self._chance.gauss(0, 0.002))
        candle = candle_bytes(at, symbol, f"{self._closes[symbol]:.6f}")
        found.lines.append(SymbolFeed(group, symbol, candle, _time_ms(at)))
        if self._chance.random() < BAD:
            found.lines.append(self._bad(symbol, at, candle))
        if self._chance.random() < AMENDMENT:
            back = at - self._chance.randint(0, 9)
            close = f"{self._closes[symbol] * (1 + self._chance.gauss(0, 0.002)):.6f}"
            amendment = candle_bytes(back, symbol, close, type="amendment")
            found.lines.append(SymbolFeed(group, symbol, amendment, _time_ms(at)))
        self._next_at[symbol] = at + 1
        self._counted[symbol] = self._counted.get(symbol, 0) + 1
        if self._counted[symbol] >= WINDOW:
            found.due.append((symbol, START_MS + (at + 1) * STEP_MS))

    def _bad(self, symbol: str, at: int, candle: bytes) -> SymbolFeed:
        group = partition_for(symbol, self._groups)
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
        if self._chance.random() < 0.1:  # where it does not belong
            return SymbolFeed((group + 1) % self._groups, symbol, candle, _time_ms(at))
        return SymbolFeed(group, symbol, self._chance.choice(values), _time_ms(at))


class Publisher:
    """Publishes rounds from a thread, at a pace; after a transaction of unknown outcome it asks the log."""

    def __init__(
        self, bootstrap: str, topics: Topics, rounds: Iterator[Round], pace_s: float
    ) -> None:
        self._bootstrap, self._topics, self._rounds, self._pace_s = (
            bootstrap,
            topics,
            rounds,
            pace_s,
        )
        self.newest: dict[
            str, int
        ] = {}  # by symbol, the open time of the last prediction that is due
        self.due: set[tuple[str, int]] = set()
        self.published_at: dict[
            tuple[str, int], float
        ] = {}  # monotonic s, when its candle could be read
        self.again = 0  # transactions that were taken back, or of unknown outcome
        self._writer: TransactionalProducer | None = None
        self._known_ends: dict[int, int] = {}  # by symbol group; what was unknown lies later
        self._stop = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def publish_some(self, rounds: int) -> None:
        """Publish rounds that nothing is due of: before the first promotion."""
        writer = TransactionalProducer(self._bootstrap, f"{self._topics.prefix}market")
        for _ in range(rounds):
            writer.write(self._outgoing(next(self._rounds)))
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
        if not self._begun():
            return
        for found in self._rounds:
            if self._stop.wait(self._pace_s) or not self._published(found):
                break
            now = time.monotonic()
            for symbol, open_time_ms in found.due:
                self.published_at[symbol, open_time_ms] = now
                self.newest[symbol] = open_time_ms
            self.due.update(found.due)
        self._end()

    def _published(self, found: Round) -> bool:
        """Publish a round once, however often that must be tried; False if stopped before that is known."""
        while self._writer is not None:
            try:
                self._writer.write(self._outgoing(found))
            except (Aborted, OutcomeUnknown):
                self.again += 1
                self._end()
                if self._begun() and self._lies_in_log(found.lines[0]):
                    return True
            else:
                return True
        return False

    def _begun(self) -> bool:
        """Take our transactional id, which ends what was open under it; False if stopped before."""
        while not self._stop.is_set():
            try:
                self._writer = TransactionalProducer(
                    self._bootstrap, f"{self._topics.prefix}market", alone=True
                )
            except Unavailable:
                self._stop.wait(0.5)
            else:
                return True
        return False

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _lies_in_log(self, line: SymbolFeed) -> bool:
        with Reader(self._bootstrap, self._topics.klines) as reader:
            while not self._stop.is_set():
                try:
                    if reader.is_settled(line.group):
                        return self._is_found(reader, line)
                except Unavailable:
                    pass
                self._stop.wait(0.5)
        return False

    def _is_found(self, reader: Reader, line: SymbolFeed) -> bool:
        start, end = self._known_ends.get(line.group, 0), reader.ends(line.group)[1]
        values = [record.value for block in reader.read(line.group, start, end) for record in block]
        self._known_ends[line.group] = end
        return line.value in values

    def _outgoing(self, found: Round) -> list[ProducerRecord]:
        return [
            ProducerRecord(
                self._topics.klines, line.group, line.key.encode(), line.value, line.time_ms
            )
            for line in found.lines
        ]


def rounds_of(market: ChaosMarket) -> Iterator[Round]:
    while True:
        yield market.next_round()


def _time_ms(at: int) -> int:
    return START_MS + at * STEP_MS


def _gap(symbol: str, at: int, until: int) -> bytes:
    return encode_record(
        GapMessage(
            type="gap",
            symbol=symbol,
            interval="5m",
            from_open_time_ms=_time_ms(at),
            until_open_time_ms=_time_ms(until),
        )
    )
