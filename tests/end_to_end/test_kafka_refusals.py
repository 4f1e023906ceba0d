"""What Kafka refuses for good is not hammered, is told, and is written once it is accepted."""

import json
import time
import urllib.request
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from shared.core.topics import TIMESTAMP_AHEAD
from tests.end_to_end.test_producer import assert_contiguous
from tests.support.builders import STEP_MS
from tests.support.deployment import Deployment
from tests.support.simulated_exchange import CANDLES, SimulatedExchange, write_recording
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["AAAUSDT", "BBBUSDT", "CCCUSDT"]
AHEAD_MS = 2 * 3_600_000  # of this machine's clock: the first candle of the recordings
OBSERVED_S = 8.0


def set_limit(deployment: Deployment, key: str, value: str) -> None:
    admin = AdminClient(deployment.kafka.client_config())
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(
        ResourceType.TOPIC, deployment.topics.klines, incremental_configs=[entry]
    )
    admin.incremental_alter_configs([resource])[resource].result(30)


def kline_requests(exchange: SimulatedExchange) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{exchange.port}/usage", timeout=5) as answer:
        found = json.load(answer)["requests"]
    return sum(count for endpoint, count in found.items() if "klines" in endpoint)


@pytest.fixture
def start_ms() -> int:
    """Return the open time of the first candle."""
    now_ms = time.time_ns() // 1_000_000
    return now_ms - now_ms % STEP_MS + AHEAD_MS


@pytest.fixture
def exchange(deployment: Deployment, tmp_path: Path, start_ms: int) -> SimulatedExchange:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for symbol in SYMBOLS:
        write_recording(recordings, symbol, start_ms=start_ms)
    return SimulatedExchange(deployment, recordings)


@pytest.mark.parametrize(
    ("key", "limit", "accepting"),
    [(TIMESTAMP_AHEAD, "3600000", str(2**63 - 1)), ("max.message.bytes", "200", "1048588")],
)
def test_a_topic_that_begins_to_refuse_candles_is_tried_less_and_less_often_and_then_gets_them_all(
    exchange: SimulatedExchange, start_ms: int, key: str, limit: str, accepting: str
) -> None:
    exchange.start()
    producer = exchange.start_producer(SYMBOLS)
    eventually(partial(exchange.has_published, 300), 60)
    set_limit(exchange.deployment, key, limit)
    eventually(lambda: key in producer.get("/health/ready")[1], 60)

    requests, written = kline_requests(exchange), exchange.count()
    aborts, until_s = producer.metric("ulstm_producer_aborts_total"), time.monotonic() + OBSERVED_S
    eventually(lambda: time.monotonic() > until_s, OBSERVED_S + 1)

    assert producer.metric("ulstm_producer_aborts_total") - aborts <= 3
    assert kline_requests(exchange) - requests <= 5
    assert not producer.is_ready()
    assert producer.log_text().count(key) == 1
    assert exchange.count() == written

    set_limit(exchange.deployment, key, accepting)
    last = start_ms + (CANDLES - 1) * STEP_MS
    eventually(
        lambda: all(
            exchange.klines()[symbol][-1:] and exchange.klines()[symbol][-1]["open_time_ms"] == last
            for symbol in SYMBOLS
        ),
        90,
    )
    for records in exchange.klines().values():
        assert_contiguous(records)
        assert {record["type"] for record in records} == {"candle"}
    eventually(partial(producer.is_ready), 30)
