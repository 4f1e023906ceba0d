"""What is fed into the simulation, and what must come out: the fold of the log, whatever happens meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Final

from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.klines import GapMessage, KlineCodec, PromotionMessage, encode_record
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.errors import Unavailable
from shared.core.online.context import FoldContext
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.core.online.state_codec import state_digest
from shared.core.topics import Topics, partition_for
from shared.log.record_processor import BatchResult, RecordProcessor
from tests.simulation.broker import Broker, Data
from tests.simulation.clock import SimulatedClock
from tests.support.builders import START_MS, STEP_MS, a_card, a_model, candle_bytes

GROUPS: Final = 2
WINDOW: Final = 16
PROFILE: Final = "1-simulated"
TOPICS: Final = Topics("5m", GROUPS)
CODEC: Final = KlineCodec("5m", STEP_MS, GROUPS)
CONTEXT: Final = FoldContext("5m", STEP_MS, PROFILE)
SCRIPTS: Final = 16

Chunk = list[tuple[int, Data]]  # (symbol group, record)


def _symbols() -> list[str]:
    """Two symbols for each group."""
    names = [f"S{n}USDT" for n in range(20)]
    return [
        n for g in range(GROUPS) for n in [m for m in names if partition_for(m, GROUPS) == g][:2]
    ]


SYMBOLS: Final = _symbols()


@lru_cache(maxsize=1)
def models() -> Mapping[str, Model]:
    card = a_card(window_length=WINDOW, widths=(8,), rate=1e-2)
    return {model.version: model for model in (a_model(seed, card) for seed in (1, 2))}


def model_of(version: str, sha256: str) -> Model:
    """Like KnownModels, with every bundle in the log.

    Raises:
        Unavailable: there is no such version.
    """
    del sha256
    try:
        return models()[version]
    except KeyError:
        raise Unavailable(version) from None


@dataclass(frozen=True)
class Script:
    """The chunks of the log, each a transaction, and whether it is committed."""

    chunks: Sequence[tuple[Chunk, bool]]


@lru_cache(maxsize=SCRIPTS)
def script(number: int) -> Script:
    """A log with promotions, gaps, amendments, duplicates, bad records and transactions that were taken back."""
    rng = Random(number)
    prices = dict.fromkeys(SYMBOLS, 100.0)

    def candle(symbol: str, at: int) -> tuple[int, Data]:
        prices[symbol] *= 1 + rng.gauss(0, 0.003)
        return _record(symbol, candle_bytes(at, symbol, f"{prices[symbol]:.4f}"), at)

    chunks: list[tuple[Chunk, bool]] = [
        ([candle(s, at) for at in range(WINDOW) for s in SYMBOLS], True)
    ]
    versions = list(models())
    chunks.append((_promotion(versions[0]), True))
    rounds = rng.randint(6, 10)
    promotions = {rng.randrange(rounds): versions[n % 2] for n in (1, 2)}
    skip = dict.fromkeys(SYMBOLS, 0)
    for turn in range(rounds):
        chunk: Chunk = []
        for symbol in SYMBOLS:
            at = WINDOW + turn + skip[symbol]
            if rng.random() < 0.05:
                chunk.append(_gap(symbol, at))
                skip[symbol] += 1
                at += 1
            chunk.append(candle(symbol, at))
            chunk += _strange(rng, symbol, at)
        cut = rng.randrange(len(chunk))
        chunks += [(part, True) for part in (chunk[:cut], chunk[cut:]) if part]
        if rng.random() < 0.2:
            chunks.append(([candle(s, WINDOW + 100) for s in SYMBOLS], False))
        if turn in promotions:
            chunks.append((_promotion(promotions[turn]), True))
    return Script(chunks)


def _record(symbol: str, value: bytes, at: int) -> tuple[int, Data]:
    return partition_for(symbol, GROUPS), Data(symbol.encode(), value, START_MS + at * STEP_MS)


def _gap(symbol: str, at: int) -> tuple[int, Data]:
    start = START_MS + at * STEP_MS
    message = GapMessage(
        type="gap",
        symbol=symbol,
        interval="5m",
        from_open_time_ms=start,
        until_open_time_ms=start + STEP_MS,
    )
    return _record(symbol, encode_record(message), at)


def _promotion(version: str) -> Chunk:
    message = PromotionMessage(
        type="promotion",
        model_version=version,
        bundle_sha256=models()[version].bundle.sha256,
        numeric_profile=CONTEXT.numeric_profile,
    )
    return [(g, Data(b"promotion", encode_record(message), START_MS)) for g in range(GROUPS)]


def _strange(rng: Random, symbol: str, at: int) -> Chunk:
    """Now and then: what is no candle, a candle once more, or one that the exchange has changed."""
    chance = rng.random()
    if chance < 0.30:
        return [_record(symbol, b"{no json", at)]
    if chance < 0.36:
        return [_record(symbol, candle_bytes(at - 1, symbol, "101.5"), at)]
    if chance < 0.42:
        return [_record(symbol, candle_bytes(at - 2, symbol, "100.25", type="amendment"), at)]
    return []


def processor() -> RecordProcessor:
    return RecordProcessor(TOPICS.klines, CODEC, CONTEXT, model_of)


@dataclass(frozen=True)
class Expected:
    """By symbol group: the predictions (key, value), the offsets of dead letters, where the log ends, and by applied_offset
    the digest of each symbol's state."""

    predictions: Sequence[Sequence[tuple[bytes, bytes]]]
    letters: Sequence[Sequence[int]]
    ends: Sequence[int]
    digests: Sequence[Mapping[int, Mapping[str, str]]]


@lru_cache(maxsize=SCRIPTS)
def expected(number: int) -> Expected:
    """Fold the log of a script in one piece, without a fault."""
    clock = SimulatedClock()
    broker = Broker(clock)
    broker.create(TOPICS.klines, GROUPS)
    feed = LogFeeder(broker, script(number))
    while feed.go_on():
        pass
    found: tuple[
        list[list[tuple[bytes, bytes]]], list[list[int]], list[int], list[dict[int, dict[str, str]]]
    ]
    found = ([], [], [], [])
    for group in range(GROUPS):
        partition = broker.partition((TOPICS.klines, group))
        folded = BatchResult(PartitionState())
        digests = {}
        for offset in range(partition.high_watermark):
            data = partition.visible(offset)
            if data is None:
                continue
            processor().process(
                folded, ConsumerRecord(group, offset, data.timestamp_ms, data.key, data.value)
            )
            digests[offset + 1] = {
                s: state_digest(state) for s, state in folded.state.symbols.items()
            }
        found[0].append([(p.symbol.encode(), encode_prediction(p)) for p in folded.predictions])
        found[1].append([letter.offset for letter in folded.dead_letters])
        found[2].append(folded.state.next_offset)
        found[3].append(digests)
    return Expected(*found)


class LogFeeder:
    """Whoever writes the log: producer and trainer. Each chunk is a transaction."""

    def __init__(self, broker: Broker, what: Script) -> None:
        self._broker, self._left = broker, list(what.chunks)
        self._producer, self._epoch = broker.init_producer("feed", 3600.0)
        self._sequences = dict.fromkeys(range(GROUPS), 0)
        self._to_end: bool | None = None

    @property
    def is_done(self) -> bool:
        return not self._left and self._to_end is None

    def go_on(self, *, stay_open: bool = False) -> bool:
        """Write the next chunk, or end one that was left open; return whether there was anything to do."""
        if self._to_end is not None:
            self._broker.end(self._producer, self._epoch, commit=self._to_end)
            self._to_end = None
            return True
        if not self._left or self._producer.open is not None:
            return bool(self._left)
        chunk, commit = self._left.pop(0)
        groups = sorted({group for group, _ in chunk})
        self._broker.add_places(self._producer, self._epoch, [(TOPICS.klines, g) for g in groups])
        for group in groups:
            records = [data for there, data in chunk if there == group]
            place = (TOPICS.klines, group)
            self._broker.produce(
                self._producer, self._epoch, place, self._sequences[group], records
            )
            self._sequences[group] += len(records)
        self._to_end = commit
        return True if stay_open else self.go_on()
