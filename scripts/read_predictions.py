"""Read predictions until every symbol has enough of them; check their order; print JSON figures.

scripts/test_compose.sh runs it with the Python of a container, and its settings.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass, field

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaException,
    Message,
    TopicPartition,
)

from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.connection import READER_GROUP

STEP_MS = 300_000


@dataclass(slots=True)
class SymbolProgress:
    """The predictions of a symbol: their number, the last one's candle, the longest pause."""

    count: int = 0
    open_time_ms: int = 0
    arrival_s: float = field(default_factory=time.monotonic)
    longest_s: float = 0.0

    def add(self, open_time_ms: int) -> None:
        """Count a prediction; exit if its candle is not the next one."""
        now = time.monotonic()
        if self.count:
            if open_time_ms != self.open_time_ms + STEP_MS:
                sys.exit(
                    f"after the prediction for {self.open_time_ms} comes one for {open_time_ms}"
                )
            self.longest_s = max(self.longest_s, now - self.arrival_s)
        self.count, self.open_time_ms, self.arrival_s = self.count + 1, open_time_ms, now


@dataclass(slots=True)
class TopicProgress:
    """The predictions seen by symbol, and the number of records that are none."""

    by_symbol: dict[str, SymbolProgress] = field(default_factory=dict)
    unreadable: int = 0

    def add(self, message: Message) -> None:
        """Add a record; name one that is no prediction on stderr, and go on.

        Raises:
            KafkaException: the message is an error of the client.
        """
        if message.error():
            raise KafkaException(message.error())
        try:
            symbol, open_time_ms = decode(message.value())
        except ValueError as error:
            self.unreadable += 1
            place = f"{message.topic()}, partition {message.partition()}, offset {message.offset()}"
            print(f"skipped an unreadable record: {place}: {error}", file=sys.stderr, flush=True)
            return
        self.by_symbol.setdefault(symbol, SymbolProgress()).add(open_time_ms)

    def has(self, symbols: int, each: int) -> bool:
        """Return whether so many symbols have so many predictions each."""
        counts = [one.count for one in self.by_symbol.values()]
        return len(counts) >= symbols and min(counts, default=0) >= each

    def figures(self) -> dict[str, float]:
        """Return the figures that are printed at the end."""
        seen = self.by_symbol.values()
        return {
            "symbols": len(seen),
            "predictions": sum(one.count for one in seen),
            "longest_gap_s": round(max((one.longest_s for one in seen), default=0.0), 1),
            "unreadable": self.unreadable,
        }


def decode(value: str | bytes | None) -> tuple[str, int]:
    """Return symbol and open time in ms of a prediction.

    Raises:
        ValueError: the bytes are no prediction.
    """
    try:
        fields = json.loads(value or b"")
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error
    if not isinstance(fields, dict):
        message = f"a JSON {type(fields).__name__}, not an object"
        raise ValueError(message)  # noqa: TRY004 - a wrong value of a record, not of an argument
    symbol, open_time_ms = fields.get("symbol"), fields.get("open_time_ms")
    if not isinstance(symbol, str) or not isinstance(open_time_ms, int):
        message = f"symbol {symbol!r} and open_time_ms {open_time_ms!r} must be text and a number"
        raise ValueError(message)  # noqa: TRY004 - likewise
    return symbol, open_time_ms


def main() -> None:
    """Read as the command line asks; exit 1 at the deadline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, required=True, help="number of symbols")
    parser.add_argument("--each", type=int, required=True, help="number of predictions of each")
    parser.add_argument("--within", type=float, required=True, help="deadline in seconds")
    parser.add_argument("--from-start", action="store_true", help="count those already there too")
    arguments = parser.parse_args()
    progress = read(
        arguments.symbols, arguments.each, arguments.within, from_start=arguments.from_start
    )
    print(json.dumps(progress.figures()))


def read(symbols: int, each: int, within_s: float, *, from_start: bool) -> TopicProgress:
    """Read until so many symbols have so many predictions each.

    A line on stderr says when each symbol has its first one.
    """
    consumer = _consumer(from_start=from_start)
    progress = TopicProgress()
    is_reported = False
    ends = time.monotonic() + within_s
    try:
        while not progress.has(symbols, each):
            if time.monotonic() > ends:
                counts = {name: one.count for name, one in sorted(progress.by_symbol.items())}
                sys.exit(f"after {within_s:g} s: {counts}")
            for message in consumer.consume(500, 0.2):
                progress.add(message)
            if progress.has(symbols, 1) and not is_reported:
                is_reported = True
                print(f"predictions of {len(progress.by_symbol)} symbols flow", file=sys.stderr)
                sys.stderr.flush()
    finally:
        consumer.close()
    return progress


def _consumer(*, from_start: bool) -> Consumer:
    settings = ServiceSettings.from_env(os.environ)
    own = {
        "group.id": READER_GROUP,
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
    }
    consumer = Consumer(settings.kafka.client_config(own))
    topic = settings.topics.predictions
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    offset = OFFSET_BEGINNING if from_start else OFFSET_END
    consumer.assign([TopicPartition(topic, partition, offset) for partition in partitions])
    return consumer


if __name__ == "__main__":
    main()
