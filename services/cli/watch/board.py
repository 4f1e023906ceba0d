"""What the topics say now: newest predictions, outcomes, standings, latencies."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final, Literal

from services.cli.watch.recent_outcomes import RecentOutcomes
from shared.adapters.kafka.tail import TailRecord
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput
from shared.core.evaluation.skill_score import Skill
from shared.core.online.prediction import Prediction
from shared.core.online.scores import Scores
from shared.core.records import Candle, Gap, SymbolStatus, covered_span_ms
from shared.core.topics import Topics
from shared.log.arrival_headers import arrival_ms, is_streamed
from shared.log.feed_pace import FeedPace
from shared.log.latencies import Latencies
from shared.log.published_predictions import UnreadableRecords, decode_predictions

LATE_CANDLES: Final = 2  # behind the newest symbol

Standing = Literal["live", "late", "halted", "ended", "waiting"]


@dataclass(frozen=True, slots=True)
class WatchRow:
    """A symbol as it stands now."""

    symbol: str
    standing: Standing
    behind: int  # candles that other symbols have already
    prediction: Prediction | None = None  # None: candles have come, but no prediction
    skill: Skill | None = None  # of the newest outcomes; None of too few

    @property
    def last_hit(self) -> bool | None:
        """Whether the forecast before had its outcome's sign; None of no forecast, or no move."""
        previous = None if self.prediction is None else self.prediction.previous
        if previous is None or previous.outcome_change is None:
            return None
        product = previous.calibrated_change * previous.outcome_change
        return product > 0 if product else None


class WatchBoard:
    """The state of a running deployment, from its topics alone. What does not decode is counted."""

    def __init__(self, topics: Topics, codec: KlineCodec, began_ms: float) -> None:
        """Begin with nothing seen.

        Args:
            topics: of the deployment.
            codec: of its klines.
            began_ms: wall clock; candles that arrived before it have no latency.
        """
        self._topics, self._codec, self._began_ms = topics, codec, began_ms
        self.unreadable = UnreadableRecords()
        self.by_symbol: dict[str, Prediction] = {}
        self.candles: Counter[str] = Counter()  # by symbol
        self.gaps = self.predictions = self.dead_letters = 0
        self.changes = 0  # how often something was added
        self.latencies = Latencies(codec.interval_ms)
        self.pace = FeedPace(codec.interval_ms)
        self._scores = 0, Scores()  # of so many predictions
        self._next_open_ms: dict[str, int] = {}
        self._statuses: dict[str, SymbolStatus] = {}
        self._outcomes: defaultdict[str, RecentOutcomes] = defaultdict(RecentOutcomes)

    def add(self, records: Iterable[TailRecord], now_ms: float) -> list[Prediction]:
        """Add new records of the topics; return the predictions among them."""
        added: list[Prediction] = []
        self.changes += 1
        for item in records:
            if item.topic == self._topics.klines:
                self._add_kline(item, now_ms)
            elif item.topic == self._topics.predictions:
                for _, prediction in decode_predictions(item.topic, [item.record], self.unreadable):
                    self._add_prediction(prediction, now_ms)
                    added.append(prediction)
            else:
                self.dead_letters += 1
        return added

    def rows(self) -> list[WatchRow]:
        """Return a row for each symbol, in the order of their names."""
        newest_ms = max(self._next_open_ms.values(), default=0)
        return [
            self._row(symbol, newest_ms)
            for symbol in sorted({*self._next_open_ms, *self.by_symbol})
        ]

    def scores(self) -> Scores:
        """Return the running scores, summed over the symbols."""
        if self._scores[0] != self.predictions:
            each = (prediction.scores for prediction in self.by_symbol.values())
            self._scores = self.predictions, reduce(Scores.plus, each, Scores())
        return self._scores[1]

    def _row(self, symbol: str, newest_ms: int) -> WatchRow:
        prediction = self.by_symbol.get(symbol)
        behind = (newest_ms - self._next_open_ms.get(symbol, newest_ms)) // self._codec.interval_ms
        standing = self._standing(symbol, behind, prediction)
        skill = self._outcomes[symbol].skill() if prediction else None
        return WatchRow(symbol, standing, behind, prediction, skill)

    def _standing(self, symbol: str, behind: int, prediction: Prediction | None) -> Standing:
        status = self._statuses.get(symbol)
        if status is not None and status.ends_symbol:
            return "ended"
        if status is not None and status.status == "halted":
            return "halted"
        if behind >= LATE_CANDLES:
            return "late"
        return "waiting" if prediction is None else "live"

    def _add_kline(self, item: TailRecord, now_ms: float) -> None:
        record = item.record
        try:
            value = self._codec.decode(record.value, record.partition)
        except BadInput as error:
            self.unreadable.add(item.topic, record, error)
            return
        if isinstance(value, SymbolStatus):
            self._statuses[value.symbol] = value
        elif isinstance(value, Candle | Gap):
            self._next_open_ms[value.symbol] = covered_span_ms(value, self._codec.interval_ms)[1]
            self.gaps += isinstance(value, Gap)
        if isinstance(value, Candle):
            self.candles[value.symbol] += 1
            self._statuses.pop(value.symbol, None)
            self._note_arrival(value, record.headers or {}, now_ms)

    def _note_arrival(self, candle: Candle, headers: Mapping[str, bytes], now_ms: float) -> None:
        if not is_streamed(headers):  # history: it comes as fast as it can be read
            return
        header_ms = arrival_ms(headers)
        arrived_ms = now_ms if header_ms is None else min(float(header_ms), now_ms)
        self.pace.add(candle.open_time_ms, arrived_ms)
        if arrived_ms >= self._began_ms:
            self.latencies.add_candle(candle, headers)

    def _add_prediction(self, prediction: Prediction, now_ms: float) -> None:
        self.predictions += 1
        self.by_symbol[prediction.symbol] = prediction
        self.latencies.add_prediction(prediction, now_ms)
        if prediction.previous is not None:
            self._outcomes[prediction.symbol].add(prediction.previous)
