"""Read predictions until every symbol has enough of them; check their order; print what was seen as JSON.

scripts/test_compose.sh gives it to the Python of a container: it imports nothing of the project.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass, field

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

TOPIC = "predictions.5m"
STEP_MS = 300_000


@dataclass(slots=True)
class Seen:
    """A symbol's predictions: how many, the last one's candle, and the times of arrival that lie furthest apart."""

    count: int = 0
    open_time_ms: int = 0
    arrival_s: float = field(default_factory=time.monotonic)
    longest_s: float = 0.0

    def take(self, open_time_ms: int) -> None:
        """Count one; exit if its candle is not the next one."""
        now = time.monotonic()
        if self.count:
            if open_time_ms != self.open_time_ms + STEP_MS:
                sys.exit(
                    f"after the prediction for {self.open_time_ms} comes one for {open_time_ms}"
                )
            self.longest_s = max(self.longest_s, now - self.arrival_s)
        self.count, self.open_time_ms, self.arrival_s = self.count + 1, open_time_ms, now


def main() -> None:
    """Do as asked on the command line; exit 1 at the deadline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, required=True, help="so many symbols")
    parser.add_argument("--each", type=int, required=True, help="so many predictions of each")
    parser.add_argument("--within", type=float, required=True, help="seconds")
    parser.add_argument(
        "--from-start", action="store_true", help="those already there count as well"
    )
    arguments = parser.parse_args()
    seen = read(
        arguments.symbols, arguments.each, arguments.within, from_start=arguments.from_start
    )
    figures = {
        "symbols": len(seen),
        "predictions": sum(one.count for one in seen.values()),
        "longest_gap_s": round(max(one.longest_s for one in seen.values()), 1),
    }
    print(json.dumps(figures))


def read(symbols: int, each: int, within_s: float, *, from_start: bool) -> dict[str, Seen]:
    """Return what was seen by symbol, once there are `each` of `symbols` symbols; tell on stderr when each has one."""
    consumer = _consumer(from_start=from_start)
    seen: dict[str, Seen] = {}
    told = False
    ends = time.monotonic() + within_s
    try:
        while len(seen) < symbols or min(one.count for one in seen.values()) < each:
            if time.monotonic() > ends:
                sys.exit(
                    f"after {within_s:g} s: { ({name: one.count for name, one in sorted(seen.items())}) }"
                )
            for message in consumer.consume(500, 0.2):
                if message.error():
                    raise KafkaException(message.error())
                value = json.loads(message.value() or b"")
                seen.setdefault(value["symbol"], Seen()).take(value["open_time_ms"])
            if len(seen) >= symbols and not told:
                told = True
                print(f"predictions of {len(seen)} symbols flow", file=sys.stderr, flush=True)
    finally:
        consumer.close()
    return seen


def _consumer(*, from_start: bool) -> Consumer:
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": "unused",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
    offset = OFFSET_BEGINNING if from_start else OFFSET_END
    consumer.assign([TopicPartition(TOPIC, partition, offset) for partition in partitions])
    return consumer


if __name__ == "__main__":
    main()
