"""`ulstm watch`: a live table of predictions against outcomes."""

import time
from collections.abc import Iterable
from typing import Final

import typer
from rich.live import Live
from rich.table import Table

from services.cli.cli_options import RunFor
from services.cli.shown_predictions import LatestPredictions, print_unreadable
from services.cli.terminal import PlainConsole
from services.cli.topic_checks import open_deployment
from shared.adapters.kafka.tail import TailRecord, TopicTail
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput
from shared.core.records import Candle
from shared.core.topics import Topics
from shared.log.latencies import Latencies

_TAIL: Final = 2000  # records per partition that are read at the start
_REFRESH_S: Final = 1.0


def watch_command(context: typer.Context, seconds: RunFor = 0.0) -> None:
    """Show predictions against outcomes as they arrive. An asterisk marks an actionable one.

    Below the table: how long a candle takes from its close to its arrival, and from there until its
    prediction can be read.
    """
    settings = open_deployment(context.obj, "klines", "predictions")
    view = _View(settings.topics, settings.codec)
    ends = time.monotonic() + seconds if seconds else None
    with (
        TopicTail(settings.kafka_bootstrap_servers, view.topics, _TAIL) as tail,
        Live(console=PlainConsole()) as live,
    ):
        try:
            while ends is None or time.monotonic() < ends:
                view.add(tail.poll(_TAIL, _REFRESH_S))
                live.update(view.table())
        except KeyboardInterrupt:
            pass
    print_unreadable(PlainConsole(stderr=True), view.latest.unreadable)


class _View:
    """What is shown: the newest predictions, and the latencies of candles from now on."""

    def __init__(self, topics: Topics, codec: KlineCodec) -> None:
        self.topics = [topics.klines, topics.predictions]
        self._klines, self._codec = topics.klines, codec
        self.latest = LatestPredictions(topics.predictions)
        self._latencies, self._began_ms = Latencies(codec.interval_ms), time.time() * 1000

    def add(self, records: Iterable[TailRecord]) -> None:
        now_ms = time.time() * 1000
        for topic, record in records:
            if topic != self._klines:
                for prediction in self.latest.add([record]):
                    self._latencies.add_prediction(prediction, now_ms)
                continue
            try:
                value = self._codec.decode(record.value, record.partition)
            except BadInput:  # `ulstm verify` names it
                continue
            headers = record.headers or {}
            arrival = headers.get("arrival_ms", b"")
            if isinstance(value, Candle) and arrival.isdigit() and int(arrival) >= self._began_ms:
                self._latencies.add_candle(value, headers)

    def table(self) -> Table:
        table = self.latest.table()
        table.caption = table.caption or self._latencies.describe()
        return table
