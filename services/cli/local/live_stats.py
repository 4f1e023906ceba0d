"""What a person wants to see of a running stack, from its topics alone."""

import json
import time
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, Final

from rich.panel import Panel
from rich.table import Table

from services.cli.commands.predict import Latest
from shared.adapters.kafka.tail import TailRecord
from shared.core.online.scores import Scores
from shared.core.topics import Topics, interval_ms

_LATENCIES: Final = 100_000


class Observed:
    """Counts, latencies and the newest predictions."""

    def __init__(self, topics: Topics) -> None:
        """Start with nothing seen."""
        self._topics = topics
        self._step_ms = interval_ms(topics.interval)
        self.latest = Latest()
        self.symbols: Counter[str] = Counter()  # candles seen, by symbol
        self.candles = self.gaps = self.predictions = self.dead_letters = 0
        self.is_live = False  # a candle has come by stream: the back-fill is done
        self._came_ms: dict[
            tuple[str, int], int
        ] = {}  # of candles from the stream, by symbol and open time
        self._latencies_ms: deque[float] = deque(maxlen=_LATENCIES)

    def take(self, arrived: Iterable[TailRecord]) -> None:
        """Take new records in."""
        now_ms = time.time() * 1000
        predictions = []
        for item in arrived:
            if item.topic == self._topics.klines:
                self._take_kline(item)
            elif item.topic == self._topics.predictions:
                predictions.append(item.record)
            else:
                self.dead_letters += 1
        self.latest.add(predictions)
        for record in predictions:
            self.predictions += 1
            self._measure(json.loads(record.value or b"{}"), now_ms)

    def latency_ms(self, share: float) -> float | None:
        """Return the latency that this share of the predictions stayed below."""
        if not self._latencies_ms:
            return None
        ordered = sorted(self._latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def scores(self) -> Scores:
        """Return the sums of the running scores over symbols."""
        total = Scores()
        for prediction in self.latest.by_symbol.values():
            total = total.plus(prediction.scores)
        return total

    def line(self) -> str:
        """Return where things stand, in one line."""
        return (
            f"{self.candles} candles · {self.predictions} predictions of {len(self.latest.by_symbol)} symbols"
            f" · {self.gaps} gaps · {self.dead_letters} dead letters · latency p50 {_ms(self.latency_ms(0.5))}"
            f" p99 {_ms(self.latency_ms(0.99))} · skill {_percent(self.scores().calibrated_skill())}"
        )

    def table(self, title: str) -> Table:
        """Return the newest predictions."""
        return self.latest.table(title)

    def summary(self, seconds: float, source: str) -> Panel:
        """Return what happened."""
        scores = self.scores()
        rows = {
            "source": source,
            "ran for": f"{seconds:.0f} s",
            "candles": f"{self.candles} of {len(self.symbols)} symbols",
            "predictions": f"{self.predictions} of {len(self.latest.by_symbol)} symbols",
            "gaps": str(self.gaps),
            "dead letters": str(self.dead_letters),
            "candle received -> prediction readable": (
                f"p50 {_ms(self.latency_ms(0.5))}, p99 {_ms(self.latency_ms(0.99))}"
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

    def _take_kline(self, item: TailRecord) -> None:
        fields: dict[str, Any] = json.loads(item.record.value or b"{}")
        kind = fields.get("type")
        self.gaps += kind == "gap"
        if kind != "candle":
            return
        self.candles += 1
        self.symbols[fields["symbol"]] += 1
        if item.headers.get("source") == b"stream":
            self.is_live = True
            key = (fields["symbol"], fields["open_time_ms"] + self._step_ms)
            self._came_ms[key] = int(item.headers["arrival_ms"])

    def _measure(self, fields: dict[str, Any], now_ms: float) -> None:
        came_ms = self._came_ms.pop((fields["symbol"], fields["open_time_ms"]), None)
        if came_ms is not None:
            self._latencies_ms.append(now_ms - came_ms)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:+.3%}"
