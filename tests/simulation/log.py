"""The logs of the simulation, and the output that each must lead to: its fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Final

from shared.adapters.bundle_codec import decode_bundle, version_of
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.kline_messages import PromotionMessage
from shared.adapters.schemas.klines import KlineCodec, encode_gap, encode_record, encode_status
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.errors import Unavailable
from shared.core.online.context import FoldContext
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.core.online.state_digest import state_digest
from shared.core.records import Gap, StatusName, SymbolStatus
from shared.core.topics import Topics, partition_for
from shared.log.record_processor import BatchResult, RecordProcessor
from tests.simulation.broker import Broker, RecordData
from tests.simulation.clock import SimulatedClock
from tests.support.builders import (
    START_MS,
    STEP_MS,
    a_card,
    a_model,
    candle_bytes,
    started_bundle_bytes,
)

PARTITIONS: Final = 2
WINDOW: Final = 16
PROFILE: Final = "4-simulated"
TOPICS: Final = Topics("5m", PARTITIONS)
CODEC: Final = KlineCodec("5m", STEP_MS, PARTITIONS)
CONTEXT: Final = FoldContext("5m", STEP_MS, PROFILE)
SCRIPTS: Final = 16

Chunk = list[tuple[int, RecordData]]  # (partition, record)


def _symbols() -> list[str]:
    """Return two symbols for each partition."""
    names = [f"S{n}USDT" for n in range(20)]
    return [
        n
        for g in range(PARTITIONS)
        for n in [m for m in names if partition_for(m, PARTITIONS) == g][:2]
    ]


SYMBOLS: Final = _symbols()


@lru_cache(maxsize=1)
def models() -> Mapping[str, Model]:
    """Return a network that learns by gradient, and a head whose symbols have starts."""
    gradient = a_model(1, a_card(window_length=WINDOW, widths=(8,), rate=1e-2))
    card = a_card(WINDOW, (8,), features="returns", label_scale=1.0, learns="head")
    data = started_bundle_bytes(SYMBOLS, 2, card)
    started = Model(decode_bundle(version_of(card, data), data))
    return {model.version: model for model in (gradient, started)}


def model_of(version: str, sha256: str) -> Model:
    """Return a model, as `ModelCache` does; every bundle is in the log.

    Raises:
        Unavailable: there is no such version.
    """
    del sha256
    try:
        return models()[version]
    except KeyError:
        raise Unavailable(version) from None


@dataclass(frozen=True)
class LogScript:
    """The transactions of a log, and whether each is committed."""

    chunks: Sequence[tuple[Chunk, bool]]


@lru_cache(maxsize=SCRIPTS)
def log_script(number: int) -> LogScript:
    """Build a log with promotions, gaps, corrections, ends, duplicates, bad records and aborts."""
    rng = Random(number)
    drafts = [SimulatedSymbol(symbol, rng) for symbol in SYMBOLS]
    chunks: list[tuple[Chunk, bool]] = [
        ([draft.candle() for _ in range(WINDOW) for draft in drafts], True)
    ]
    versions = list(models())
    chunks.append((_promotion(versions[0]), True))
    rounds = rng.randint(6, 10)
    promotions = {rng.randrange(rounds): versions[n % 2] for n in (1, 2)}
    for step in range(rounds):
        chunk = [record for draft in drafts for record in draft.round()]
        cut = rng.randrange(len(chunk))
        chunks += [(part, True) for part in (chunk[:cut], chunk[cut:]) if part]
        if rng.random() < 0.2:
            chunks.append(([draft.candle_at(WINDOW + 100) for draft in drafts], False))
        if step in promotions:
            chunks.append((_promotion(promotions[step]), True))
    return LogScript(chunks)


@dataclass
class SimulatedSymbol:
    """One symbol of a log that is being drawn: where it is, and what its gaps cover."""

    symbol: str
    rng: Random
    price: float = 100.0
    next_at: int = 0
    missing: list[int] = field(default_factory=list)

    def round(self) -> Chunk:
        """Return a candle, and now and then what else may happen to a symbol meanwhile."""
        before = self._gap() if self.rng.random() < 0.1 else []
        fills = self._fill() if self.missing and self.rng.random() < 0.5 else []
        candles, unusual = [self.candle()], self._unusual_records()
        again = self._relist() if self.rng.random() < 0.03 else []
        return [*before, *fills, *candles, *unusual, *again]

    def candle(self) -> tuple[int, RecordData]:
        self.next_at += 1
        return self.candle_at(self.next_at - 1)

    def candle_at(self, at: int) -> tuple[int, RecordData]:
        return self._record(candle_bytes(at, self.symbol, self._next_price()), at)

    def _gap(self) -> Chunk:
        at, self.next_at = self.next_at, self.next_at + 1
        self.missing.append(at)
        start_ms = START_MS + at * STEP_MS
        gap = Gap(self.symbol, start_ms, start_ms + STEP_MS)
        return [self._record(encode_gap(gap, "5m"), at)]

    def _fill(self) -> Chunk:
        """Fill a gap; the symbol's newest candle may be older, and now and then it comes twice."""
        at = self.missing.pop(0)
        value = candle_bytes(at, self.symbol, self._next_price(), type="fill")
        return [self._record(value, at)] * self.rng.choice((1, 1, 1, 2))

    def _relist(self) -> Chunk:
        """End the symbol; begin it with a candle that is too old, then with a window of them."""
        at, self.next_at, self.missing = self.next_at, self.next_at + self.rng.randint(0, 3), []
        statuses = [self._status("removed", at), self._status("listed", self.next_at)]
        candles = [self.candle() for _ in range(self.rng.choice((0, 3, WINDOW)))]
        return [*statuses, self.candle_at(at - 1), *candles]

    def _status(self, name: StatusName, at: int) -> tuple[int, RecordData]:
        status = SymbolStatus(self.symbol, START_MS + at * STEP_MS, name, "by the user")
        return self._record(encode_status(status, "5m"), at)

    def _unusual_records(self) -> Chunk:
        """Return now and then a bad record, a duplicate or an amendment."""
        at, chance = self.next_at - 1, self.rng.random()
        if chance < 0.30:
            return [self._record(b"{no json", at)]
        if chance < 0.36:
            return [self._record(candle_bytes(at - 1, self.symbol, "101.5"), at)]
        if chance < 0.42:
            value = candle_bytes(at - 2, self.symbol, "100.25", type="amendment")
            return [self._record(value, at)]
        return []

    def _next_price(self) -> str:
        self.price *= 1 + self.rng.gauss(0, 0.003)
        return f"{self.price:.4f}"

    def _record(self, value: bytes, at: int) -> tuple[int, RecordData]:
        return partition_for(self.symbol, PARTITIONS), RecordData(
            self.symbol.encode(), value, START_MS + at * STEP_MS
        )


def _promotion(version: str) -> Chunk:
    message = PromotionMessage(
        type="promotion",
        model_version=version,
        bundle_sha256=models()[version].bundle.sha256,
        numeric_profile=CONTEXT.numeric_profile,
    )
    return [
        (g, RecordData(b"promotion", encode_record(message), START_MS)) for g in range(PARTITIONS)
    ]


def build_processor() -> RecordProcessor:
    return RecordProcessor(TOPICS.klines, CODEC, CONTEXT, model_of)


@dataclass(frozen=True)
class ExpectedOutput:
    """The output that a log leads to; each field is indexed by partition."""

    predictions: Sequence[Sequence[tuple[bytes, bytes]]]  # (key, value)
    dead_letters: Sequence[Sequence[int]]  # offsets
    digests: Sequence[Mapping[int, Mapping[str, str]]]  # by applied offset, then symbol


@lru_cache(maxsize=SCRIPTS)
def expected_output(number: int) -> ExpectedOutput:
    """Fold a log in one piece, without faults."""
    broker = Broker(SimulatedClock())
    broker.create(TOPICS.klines, PARTITIONS)
    feeder = LogFeeder(broker, log_script(number))
    while feeder.write_next():
        pass
    folded = [_fold_partition(broker, partition) for partition in range(PARTITIONS)]
    return ExpectedOutput(
        [
            [(p.symbol.encode(), encode_prediction(p)) for p in result.predictions]
            for result, _ in folded
        ],
        [[dead_letter.offset for dead_letter in result.dead_letters] for result, _ in folded],
        [digests for _, digests in folded],
    )


def _fold_partition(broker: Broker, number: int) -> tuple[BatchResult, dict[int, dict[str, str]]]:
    """Return the result of all records, and the digests of the states after each offset."""
    partition, processor = broker.partition((TOPICS.klines, number)), build_processor()
    result, digests = BatchResult(PartitionState()), {}
    for offset in range(partition.high_watermark):
        data = partition.visible(offset)
        if data is None:
            continue
        record = ConsumerRecord(number, offset, data.timestamp_ms, data.key, data.value)
        processor.process(result, record)
        digests[offset + 1] = {s: state_digest(state) for s, state in result.state.symbols.items()}
    return result, digests


class LogFeeder:
    """Writes the log as producer and trainer do: a transaction for each chunk."""

    def __init__(self, broker: Broker, log: LogScript) -> None:
        self._broker, self._left = broker, list(log.chunks)
        self._producer, self._epoch = broker.init_producer("feeder", 3600.0)
        self._sequences = dict.fromkeys(range(PARTITIONS), 0)
        self._to_end: bool | None = None

    @property
    def is_done(self) -> bool:
        return not self._left and self._to_end is None

    def write_next(self, *, stay_open: bool = False) -> bool:
        """Write the next chunk or end an open transaction; return False at the end of the log."""
        if self._to_end is not None:
            self._broker.end_transaction(self._producer, self._epoch, commit=self._to_end)
            self._to_end = None
            return True
        if not self._left or self._producer.open is not None:
            return bool(self._left)
        chunk, commit = self._left.pop(0)
        partitions = sorted({partition for partition, _ in chunk})
        keys = [(TOPICS.klines, partition) for partition in partitions]
        self._broker.add_partitions(self._producer, self._epoch, keys)
        for key, partition in zip(keys, partitions, strict=True):
            records = [data for number, data in chunk if number == partition]
            sequence = self._sequences[partition]
            self._broker.produce(self._producer, self._epoch, key, sequence, records)
            self._sequences[partition] += len(records)
        self._to_end = commit
        return True if stay_open else self.write_next()
