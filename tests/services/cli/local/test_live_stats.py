import pytest
from rich.console import Console

from services.cli.local.live_stats import LiveStats
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.kafka.tail import TailRecord
from shared.adapters.schemas.klines import KlineCodec
from tests.services.cli.foreign_records import FOREIGN_VALUES
from tests.support.builders import START_MS, STEP_MS
from tests.support.recorded_log import TOPICS, eventful_klines, record_log

LOG = record_log(eventful_klines())
STREAM = {"source": b"stream", "arrival_ms": b"%d" % START_MS}


def stats() -> LiveStats:
    return LiveStats(TOPICS, KlineCodec(TOPICS.interval, STEP_MS, TOPICS.partitions))


def arrived(
    topic: str, records: list[ConsumerRecord], headers: dict[str, bytes] | None = None
) -> list[TailRecord]:
    return [TailRecord(topic, record._replace(headers=headers or {})) for record in records]


def test_candles_gaps_predictions_and_dead_letters_are_counted() -> None:
    seen = stats()

    seen.add(arrived(TOPICS.klines, LOG.klines, STREAM))
    seen.add(arrived(TOPICS.predictions, LOG.predictions))
    seen.add(arrived(TOPICS.dead_letters, LOG.dead_letters))

    assert (seen.candles, seen.gaps, seen.dead_letters) == (71, 1, 2)
    assert seen.symbols == {"BTCUSDT": 34, "ETHUSDT": 37}
    assert seen.predictions == 34
    assert seen.latencies.to_readable_ms(0.5) is not None
    assert "34 predictions of 2 symbols" in seen.line()


def test_foreign_records_are_counted_and_named_and_end_nothing() -> None:
    seen = stats()
    foreign = [
        ConsumerRecord(0, offset, START_MS, b"BTCUSDT", value)
        for offset, value in enumerate(FOREIGN_VALUES)
    ]

    for topic in (TOPICS.klines, TOPICS.predictions, TOPICS.dead_letters):
        seen.add(arrived(topic, foreign))

    assert (seen.candles, seen.predictions) == (0, 0)
    assert seen.dead_letters == len(foreign)  # whatever is there is a dead letter
    assert seen.unreadable.count == 2 * len(foreign)
    assert f"{2 * len(foreign)} unreadable records" in seen.line()
    assert seen.unreadable.descriptions[3].startswith("klines.5m, partition 0, offset 3: not_json")
    with Console(quiet=True).capture():
        Console(quiet=True).print(seen.summary(1.0, "x"), seen.latest.table("x"))


@pytest.mark.parametrize("arrival", [{}, {"arrival_ms": b""}, {"arrival_ms": b"soon"}])
def test_a_candle_of_the_stream_without_its_arrival_time_has_no_latency(
    arrival: dict[str, bytes],
) -> None:
    seen = stats()

    seen.add(arrived(TOPICS.klines, LOG.klines, {"source": b"stream", **arrival}))
    seen.add(arrived(TOPICS.predictions, LOG.predictions))

    assert seen.latencies.to_readable_ms(0.5) is None
