"""What Kafka refuses for good is not hammered, is told, and is written once it is accepted."""

import json
import urllib.request
from functools import partial
from pathlib import Path
from time import monotonic

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.end_to_end.test_producer import assert_contiguous
from tests.support.builders import START_MS, STEP_MS
from tests.support.deployment import Deployment
from tests.support.simulated_exchange import CANDLES, SimulatedExchange, write_recording
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["AAAUSDT", "BBBUSDT", "CCCUSDT"]
# No time before this is accepted: all candles of the recordings are refused.
TIMESTAMP_BEHIND = "message.timestamp.before.max.ms"
OBSERVED_S = 8.0


def set_limit(deployment: Deployment, key: str, value: str) -> None:
    admin = AdminClient({"bootstrap.servers": deployment.kafka_bootstrap})
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
def exchange(deployment: Deployment, tmp_path: Path) -> SimulatedExchange:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for symbol in SYMBOLS:
        write_recording(recordings, symbol)
    return SimulatedExchange(deployment, recordings)


@pytest.mark.parametrize(
    ("key", "limit", "accepting", "advice"),
    [
        (TIMESTAMP_BEHIND, "1000", "9223372036854775807", "message.timestamp.after.max.ms"),
        ("max.message.bytes", "200", "1048588", "max.message.bytes"),
    ],
)
def test_a_topic_that_refuses_every_candle_is_tried_less_and_less_often_and_then_gets_them_all(
    exchange: SimulatedExchange, key: str, limit: str, accepting: str, advice: str
) -> None:
    set_limit(exchange.deployment, key, limit)
    exchange.start()
    producer = exchange.start_producer(SYMBOLS)
    eventually(lambda: advice in producer.get("/health/ready")[1], 60)

    requests = kline_requests(exchange)
    aborts, until_s = producer.metric("ulstm_producer_aborts_total"), monotonic() + OBSERVED_S
    eventually(lambda: monotonic() > until_s, OBSERVED_S + 1)

    assert producer.metric("ulstm_producer_aborts_total") - aborts <= 3
    assert kline_requests(exchange) - requests <= 5
    assert not producer.is_ready()
    assert producer.log_text().count(advice) == 1
    assert exchange.count() == 0

    set_limit(exchange.deployment, key, accepting)
    last = START_MS + (CANDLES - 1) * STEP_MS
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
