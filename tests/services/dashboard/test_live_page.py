"""The live page on a real Kafka, however it comes and goes."""

from pathlib import Path
from typing import Any, Final

import pytest

from services.dashboard.live.columns import COLUMNS
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.topics import partition_for
from shared.local_servers import launcher
from shared.local_servers.programs import free_port
from tests.services.dashboard.live.records import next_prediction, open_time
from tests.services.dashboard.web.running_page import RunningPage, a_running_page, next_event
from tests.support.builders import candle_bytes
from tests.support.deployment import Deployment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration]

OPEN_TIME: Final = COLUMNS.index("open_time_ms")
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


def close(deployment: Deployment, at: int, symbols: list[str] = SYMBOLS) -> None:
    """Write candle number `at` of each symbol, and the prediction made from it."""
    deployment.write(record for symbol in symbols for record in a_close(deployment, at, symbol))


def a_close(deployment: Deployment, at: int, symbol: str) -> list[ProducerRecord]:
    topics, key = deployment.topics, symbol.encode()
    partition = partition_for(symbol, deployment.partitions)
    headers = [("source", b"stream"), ("arrival_ms", b"1700000000000")]
    prediction = encode_prediction(next_prediction(at, symbol=symbol))
    time_ms, candle = open_time(at + 1) - 1, candle_bytes(at, symbol)
    return [
        ProducerRecord(topics.klines, partition, key, candle, time_ms, headers),
        ProducerRecord(topics.predictions, partition, key, prediction, time_ms),
    ]


def rows(page: RunningPage) -> dict[str, dict[str, Any]]:
    """Return the rows by symbol, each by column."""
    overview = page.get("/api/overview").json()
    named = [dict(zip(overview["columns"], row, strict=True)) for row in overview["rows"]]
    return {row["symbol"]: row for row in named}


def newest(page: RunningPage) -> dict[str, int]:
    """Return the open time of the predicted candle by symbol."""
    return {symbol: row["open_time_ms"] for symbol, row in rows(page).items()}


def predicted(at: int, symbols: list[str] = SYMBOLS) -> dict[str, int]:
    return dict.fromkeys(symbols, open_time(at + 1))


def test_what_was_there_is_shown_and_what_comes_is_sent_to_every_browser(
    deployment: Deployment,
) -> None:
    for at in range(5):
        close(deployment, at)

    with a_running_page(**deployment.environ) as page:
        eventually(lambda: newest(page) == predicted(4))
        with page.events() as one, page.events() as other:
            close(deployment, 5)
            eventually(lambda: newest(page) == predicted(5))
            first, second = next_changes(one), next_changes(other)

    assert first == second
    assert rows_of(first)["BTCUSDT"][OPEN_TIME] == open_time(6)


def next_changes(stream: Any) -> list[list[Any]]:
    """Return the rows of updates until all symbols have their newest prediction."""
    found: dict[str, list[Any]] = {}
    while len(found) < len(SYMBOLS) or any(row[OPEN_TIME] < open_time(6) for row in found.values()):
        found |= rows_of(next_event(stream, "overview")["rows"])
    return [found[symbol] for symbol in SYMBOLS]


def rows_of(rows: list[list[Any]]) -> dict[str, list[Any]]:
    return {row[0]: row for row in rows}


def test_it_may_be_started_before_the_topics_are_there(
    kafka: KafkaConnection, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    deployment = Deployment(kafka, redis_url, topic_prefix, tmp_path)
    with a_running_page(**deployment.environ) as page:
        eventually(lambda: page.summary()["state"] == "empty")
        assert deployment.topics.klines in page.summary()["state_reason"]
        assert page.telemetry.answer("/health/ready")[0] == 200

        ensure_topics(kafka, deployment.topics)
        close(deployment, 0)

        eventually(lambda: newest(page) == predicted(0))
        eventually(lambda: page.summary()["state"] in {"stale", "live"})


def test_foreign_and_damaged_records_are_counted_and_stop_nothing(deployment: Deployment) -> None:
    topics = deployment.topics
    damaged = [b"", b"\xff\xfe", b"{}", b"[1]", b"null", candle_bytes(0)[:-9], b"9" * 10_000]
    with a_running_page(**deployment.environ) as page:
        eventually(lambda: page.summary()["state"] == "empty")
        for topic in (topics.klines, topics.predictions, topics.dead_letters):
            deployment.write(ProducerRecord(topic, 0, None, value, 0) for value in damaged)
        close(deployment, 0)

        eventually(lambda: newest(page) == predicted(0))
        eventually(lambda: page.summary()["unreadable_records"] == 2 * len(damaged))
        assert page.summary()["dead_letters"]["count"] == len(damaged)


def test_the_recent_window_is_filled_from_before_the_newest_records(
    deployment: Deployment,
) -> None:
    deployment.write(
        record
        for at in range(2_300)
        for symbol in ["BTCUSDT", *(["ETHUSDT"] if at == 150 else [])]
        for record in a_close(deployment, at, symbol)
    )

    with a_running_page(**deployment.environ, DASHBOARD_CANDLES="2200") as page:
        eventually(lambda: page.summary()["state"] not in {"loading", "empty"})
        found = rows(page)

    assert found["BTCUSDT"]["open_time_ms"] == open_time(2_300)
    assert found["BTCUSDT"]["skill_n"] == 2_200
    assert found["ETHUSDT"]["open_time_ms"] == open_time(151)


@pytest.mark.timeout(300)  # it starts Kafka three times
def test_topics_that_were_created_anew_begin_a_new_page(
    kafka: KafkaConnection, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    port = free_port()
    where = KafkaConnection(f"127.0.0.1:{port}")
    deployment = Deployment(where, redis_url, topic_prefix, tmp_path)
    with a_running_page(**deployment.environ) as page:
        eventually(lambda: page.summary()["state"] == "kafka_down")
        with launcher.start(tmp_path / "first", kafka_port=port), deployment:
            close(deployment, 3)
            eventually(lambda: newest(page) == predicted(3), 60)

        eventually(lambda: page.summary()["state"] == "kafka_down", 60)
        assert newest(page) == predicted(3)

        with launcher.start(tmp_path / "first", kafka_port=port):
            close(deployment, 4)
            eventually(lambda: newest(page) == predicted(4), 60)
            assert page.summary()["state"] != "kafka_down"

        with launcher.start(tmp_path / "second", kafka_port=port), deployment:
            close(deployment, 1, ["ETHUSDT"])
            eventually(lambda: newest(page) == predicted(1, ["ETHUSDT"]), 30)
