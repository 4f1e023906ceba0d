"""A market in the log whose candles close when a test says so, with the real fold's predictions."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final, Self

import numpy as np

from services.predictor.output_records import producer_records
from shared.adapters.kafka.backwards_reader import await_settled
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.core.arrays import Float64s
from shared.core.model.card import Card
from shared.core.online.context import FoldContext
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.topics import partition_for
from shared.log.model_cache import ModelCache
from shared.log.record_processor import BatchResult, RecordProcessor
from tests.support.builders import START_MS, STEP_MS, a_card
from tests.support.deployment import Deployment

WINDOW: Final = 16  # candles before the first prediction
VOLATILITY: Final = 0.002  # of one candle's change
REVERSAL: Final = 0.5  # share of a change that the next one takes back: something to learn
BATCH: Final = 5_000  # records of a transaction
Headers = list[tuple[str, bytes]]

FAMILIAR: Final = tuple(
    f"{asset}USDT"
    for asset in (
        *("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "TRX", "AVAX", "LINK"),
        *("DOT", "LTC", "BCH", "NEAR", "UNI", "ATOM", "XLM", "ETC", "FIL", "APT"),
    )
)


def many_symbols(count: int) -> list[str]:
    """Return names of symbols: the familiar ones first."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    made = (f"{a}{b}{c}USDT" for a in letters for b in letters for c in letters)
    fresh = (name for name in made if name not in FAMILIAR)
    return [*FAMILIAR[:count], *(next(fresh) for _ in range(count - len(FAMILIAR)))]


def a_small_card() -> Card:
    """Return the card of a model that learns by its head and predicts after few candles."""
    return a_card(WINDOW, features="returns", learns="head")


class FoldedMarket:
    """Symbols whose closes walk at random; each candle is written when `close` is called."""

    def __init__(
        self,
        deployment: Deployment,
        symbols: Sequence[str] = FAMILIAR,
        seed: int = 1,
        pace_ms: int = STEP_MS,
    ) -> None:
        """Begin with no candle.

        Args:
            deployment: whose topics are written.
            symbols: of the market.
            seed: of the random walks.
            pace_ms: wall time from one close to the next, of candles that are written at once:
                the newest has just arrived.
        """
        self.deployment, self.symbols = deployment, list(symbols)
        self.candles = 0  # written so far, of each symbol
        self.newest: dict[str, Prediction] = {}
        self._pace_ms, self._random = pace_ms, np.random.default_rng(seed)
        self.closes = 10.0 ** self._random.uniform(-1.0, 4.0, len(self.symbols))
        self._changes = np.zeros(len(self.symbols))
        self._states: dict[int, PartitionState] = defaultdict(PartitionState)
        self._offsets: dict[int, int] = defaultdict(int)
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        topics, kafka = self.deployment.topics, self.deployment.kafka
        self._klines = self._resources.enter_context(Reader(kafka, topics.klines))
        self._writer = TransactionalProducer(kafka, f"{topics.prefix}folded-market")
        self._resources.callback(self._writer.close)
        settings = self.deployment.settings
        context = FoldContext.of_this_machine(settings.interval)
        models = ModelCache(self.deployment.registry.bundles.load)
        self._processor = RecordProcessor(topics.klines, settings.codec, context, models)
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    @property
    def newest_open_ms(self) -> int:
        """Open time of the newest candle."""
        return self._open_time_ms(self.candles - 1)

    def release(self, seed: int = 1) -> str:
        """Publish and promote a small model; return its version."""
        return self.deployment.release(seed, a_small_card())

    def close(self, count: int = 1, closes: Mapping[str, float] | None = None) -> None:
        """Close candles of all symbols, and publish their predictions.

        Args:
            count: how many, one after the other.
            closes: the closes of some symbols; the others' are drawn.
        """
        self.close_unpredicted(count, closes)
        self.predict()

    def close_unpredicted(self, count: int = 1, closes: Mapping[str, float] | None = None) -> None:
        """Close candles of all symbols as if no predictor ran."""
        now_ms = round(time.time() * 1000)
        arrivals = [now_ms - at * self._pace_ms for at in reversed(range(count))]
        records = [one for at in arrivals for one in self._next_candles(closes or {}, at)]
        for start in range(0, len(records), BATCH):
            self._writer.write(records[start : start + BATCH])

    def predict(self) -> None:
        """Fold what was written since the last call, and publish the predictions."""
        partitions = range(self.deployment.partitions)
        await_settled(self._klines, partitions)
        for partition in partitions:
            for block in self._klines.read(partition, self._offsets[partition]):
                self._predict_block(partition, block)

    def write_foreign_records(self, value: bytes) -> None:
        """Write bytes that are no record of ours to every topic that the page reads."""
        topics = self.deployment.topics
        names = (topics.klines, topics.predictions, topics.dead_letters)
        self._writer.write([ProducerRecord(name, 0, b"FOREIGN", value, 0) for name in names])

    def _predict_block(self, partition: int, block: Sequence[ConsumerRecord]) -> None:
        result = BatchResult(self._states[partition])
        for record in block:
            self._processor.process(result, record)
        self._states[partition] = result.state
        self._offsets[partition] = block[-1].offset + 1
        self.newest |= {prediction.symbol: prediction for prediction in result.predictions}
        if records := list(producer_records(result, self.deployment.topics)):
            self._writer.write(records)

    def _next_candles(self, given: Mapping[str, float], arrival_ms: int) -> list[ProducerRecord]:
        opens = self.closes
        fresh = self._random.normal(scale=VOLATILITY, size=len(opens))
        drawn = opens * (1.0 + fresh - REVERSAL * self._changes)
        named = [given.get(name, close) for name, close in zip(self.symbols, drawn, strict=True)]
        self.closes = np.asarray(named, dtype=np.float64)
        self._changes = self.closes / opens - 1.0
        wicks = np.abs(self._random.normal(scale=VOLATILITY / 2, size=(2, len(opens))))
        rows = np.column_stack([opens, self.closes, *wicks])
        self.candles += 1
        headers = [("source", b"stream"), ("arrival_ms", str(arrival_ms).encode())]
        rows_by_name = zip(self.symbols, rows, strict=True)
        return [self._candle(name, row, headers) for name, row in rows_by_name]

    def _candle(self, symbol: str, row: Float64s, headers: Headers) -> ProducerRecord:
        opened, close, upper, lower = row.tolist()
        high, low = max(opened, close) * (1.0 + upper), min(opened, close) * (1.0 - lower)
        open_time_ms = self._open_time_ms(self.candles - 1)
        # Written out, in canonical form: that of thousands of symbols is wanted within a second.
        value = (
            f'{{"close":"{close:.8f}","high":"{high:.8f}","interval":"5m","low":"{low:.8f}",'
            f'"open":"{opened:.8f}","open_time_ms":{open_time_ms},"schema":1,'
            f'"symbol":"{symbol}","type":"candle","volume":"12.5"}}'
        ).encode()
        topics = self.deployment.topics
        partition = partition_for(symbol, topics.partitions)
        close_ms = open_time_ms + STEP_MS - 1
        return ProducerRecord(topics.klines, partition, symbol.encode(), value, close_ms, headers)

    def _open_time_ms(self, at: int) -> int:
        return START_MS + at * STEP_MS
