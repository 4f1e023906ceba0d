"""Statistics of a running deployment, from its topics alone."""

import time
from collections import Counter
from collections.abc import Iterable
from functools import reduce

from rich.panel import Panel
from rich.table import Table

from services.cli.shown_predictions import LatestPredictions
from shared.adapters.kafka.tail import TailRecord
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput
from shared.core.online.prediction import Prediction
from shared.core.online.scores import Scores
from shared.core.records import Candle, Gap
from shared.core.topics import Topics
from shared.log.latencies import Latencies, format_ms


class LiveStats:
    """Counts, latencies and the newest predictions. Records that do not decode are counted."""

    def __init__(self, topics: Topics, codec: KlineCodec) -> None:
        """Begin with nothing seen.

        Args:
            topics: of the deployment.
            codec: of its klines.
        """
        self._topics, self._codec = topics, codec
        self.latest = LatestPredictions(topics.predictions)
        self.unreadable = self.latest.unreadable
        self.symbols: Counter[str] = Counter()  # candles by symbol
        self.gaps = self.predictions = self.dead_letters = 0
        self.latencies = Latencies(codec.interval_ms)

    @property
    def candles(self) -> int:
        """The number of candles seen."""
        return self.symbols.total()

    def add(self, records: Iterable[TailRecord]) -> None:
        """Add new records of the three topics."""
        now_ms = time.time() * 1000
        for item in records:
            if item.topic == self._topics.klines:
                self._add_kline(item)
            elif item.topic == self._topics.predictions:
                for prediction in self.latest.add([item.record]):
                    self._add_prediction(prediction, now_ms)
            else:
                self.dead_letters += 1

    def scores(self) -> Scores:
        """Return the running scores, summed over the symbols."""
        predictions = self.latest.by_symbol.values()
        return reduce(Scores.plus, (prediction.scores for prediction in predictions), Scores())

    def line(self) -> str:
        """Return the state of the deployment in one line."""
        unreadable, latency_ms = self.unreadable.count, self.latencies.to_readable_ms
        return (
            f"{self.candles} candles · {self.predictions} predictions of"
            f" {len(self.latest.by_symbol)} symbols · {self.gaps} gaps"
            f" · {self.dead_letters} dead letters"
            + (f" · {unreadable} unreadable records" if unreadable else "")
            + f" · latency p50 {format_ms(latency_ms(0.5))} p99 {format_ms(latency_ms(0.99))}"
            f" · skill {_percent(self.scores().calibrated_skill())}"
        )

    def summary(self, seconds: float, source: str) -> Panel:
        """Return the totals at the end.

        Args:
            seconds: since the start.
            source: of the klines, in words.
        """
        scores, latency_ms = self.scores(), self.latencies.to_readable_ms
        rows = {
            "source": source,
            "ran for": f"{seconds:.0f} s",
            "candles": f"{self.candles} of {len(self.symbols)} symbols",
            "predictions": f"{self.predictions} of {len(self.latest.by_symbol)} symbols",
            "gaps": str(self.gaps),
            "dead letters": str(self.dead_letters),
            "unreadable records": str(self.unreadable.count),
            "candle received -> prediction readable": (
                f"p50 {format_ms(latency_ms(0.5))}, p99 {format_ms(latency_ms(0.99))}"
            ),
            "skill against zero change": (
                f"calibrated {_percent(scores.calibrated_skill())}, raw {_percent(scores.skill())},"
                f" over {scores.n} outcomes"
            ),
        }
        table = Table.grid(padding=(0, 2))
        for name, text in rows.items():
            table.add_row(name, text)
        return Panel(table, title="summary")

    def _add_kline(self, item: TailRecord) -> None:
        record = item.record
        try:
            value = self._codec.decode(record.value, record.partition)
        except BadInput as error:
            self.unreadable.add(item.topic, record, error)
            return
        self.gaps += isinstance(value, Gap)
        if isinstance(value, Candle):
            self.symbols[value.symbol] += 1
            self.latencies.add_candle(value, record.headers or {})

    def _add_prediction(self, prediction: Prediction, now_ms: float) -> None:
        self.predictions += 1
        self.latencies.add_prediction(prediction, now_ms)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:+.3%}"
