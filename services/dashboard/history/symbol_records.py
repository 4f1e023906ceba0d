"""What was read of one symbol's records in `klines` and `predictions`."""

from dataclasses import dataclass, field, replace
from threading import Semaphore
from typing import Any

from services.dashboard.history.candle_timeline import CandleTimeline
from services.dashboard.history.figures import SKILL_OUTCOMES
from services.dashboard.history.history_page import SymbolPast, to_fields
from services.dashboard.history.paging import PageRange, PageRequest, page_range
from services.dashboard.history.past_predictions import PastPrediction, in_time_order, to_past
from services.dashboard.log_region import FIRST_BLOCK, LogRegion, ReadingBudget
from shared.adapters.kafka.backwards_reader import OffsetRangeReader
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.klines import KlineCodec
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.errors import BadInput
from shared.core.records import Amendment, Candle, Fill, Promotion, Record
from shared.core.topics import partition_for


@dataclass(slots=True)
class SymbolRecords:
    """The newest part of a symbol's records; it grows backwards as older pages are asked for."""

    symbol: str
    codec: KlineCodec
    first_block: int = FIRST_BLOCK  # records that are read first, back from the end
    turns: Semaphore = field(default_factory=Semaphore)  # one reading at a time
    klines: LogRegion[Record] = field(init=False)
    predictions: LogRegion[PastPrediction] = field(init=False)

    def __post_init__(self) -> None:
        """Begin without records."""
        partition = partition_for(self.symbol, self.codec.partitions)
        key = self.symbol.encode()
        self.klines = LogRegion(partition, key, self._decode_kline, self.first_block)
        self.predictions = LogRegion(partition, key, self._decode_prediction, self.first_block)

    @property
    def size(self) -> int:
        """The number of records that are kept."""
        return len(self.klines.values) + len(self.predictions.values)

    @property
    def is_unknown(self) -> bool:
        """Whether the log has nothing of the symbol."""
        return self.klines.is_whole and not self.klines.values

    def read_candles(
        self, reader: OffsetRangeReader, request: PageRequest, budget: ReadingBudget
    ) -> None:
        """Read `klines` until a page's candles are there, or the budget is spent.

        Raises:
            Unavailable: Kafka does not answer.
        """
        self.klines.read_new(reader)
        self.klines.read_older(reader, lambda: self.range_of(request).is_full, budget)

    def read_predictions(
        self, reader: OffsetRangeReader, from_ms: int, budget: ReadingBudget
    ) -> None:
        """Read `predictions` back to a time, and those that the skill at that time is of.

        Raises:
            Unavailable: Kafka does not answer.
        """
        self.predictions.read_new(reader)
        self.predictions.read_older(reader, lambda: self.has_predictions(from_ms), budget)

    def has_predictions(self, from_ms: int) -> bool:
        """Return whether nothing more need be read of `predictions` for a page from a time on."""
        oldest_ms = from_ms - SKILL_OUTCOMES * self.codec.interval_ms
        oldest = self.predictions.values[:1]
        return self.predictions.is_whole or any(one.open_time_ms <= oldest_ms for one in oldest)

    def range_of(self, request: PageRequest) -> PageRange:
        """Return the range of a page, of what was read so far."""
        return page_range(self._timeline(), request, is_whole=self.klines.is_whole)

    def to_page(self, request: PageRequest) -> dict[str, Any]:
        """Return a page of what was read so far, as plain values."""
        page = self.range_of(request)
        is_complete = page.is_full and self.has_predictions(page.span.from_ms)
        fields = to_fields(self.to_past(), page.span)
        return {**fields, "at_beginning": page.is_first, "truncated": not is_complete}

    def to_past(self) -> SymbolPast:
        """Return what was read; the caller owns it."""
        return SymbolPast(
            self.symbol,
            self.codec.interval_ms,
            self._timeline(),
            in_time_order(self.predictions.values),
            self.predictions.is_whole,
        )

    def _timeline(self) -> CandleTimeline:
        timeline = CandleTimeline(self.codec.interval_ms)
        for record in self.klines.values:
            timeline.add(record)
        return timeline

    def _decode_kline(self, record: ConsumerRecord) -> Record | None:
        """Return a record of the symbol, without the market's move; None for a foreign one."""
        try:
            value = self.codec.decode(record.value, record.partition)
        except BadInput:  # no reader uses such a record
            return None
        if isinstance(value, Promotion):
            return None
        if isinstance(value, Amendment | Fill):
            is_own = value.candle.symbol == self.symbol
            return type(value)(replace(value.candle, market=None)) if is_own else None
        if value.symbol != self.symbol:
            return None
        return replace(value, market=None) if isinstance(value, Candle) else value

    def _decode_prediction(self, record: ConsumerRecord) -> PastPrediction | None:
        """Return a prediction of the symbol; None for a foreign record."""
        try:
            prediction = decode_prediction(record.value)
        except BadInput:
            return None
        is_own = (prediction.symbol, prediction.interval) == (self.symbol, self.codec.interval)
        return to_past(prediction) if is_own else None
