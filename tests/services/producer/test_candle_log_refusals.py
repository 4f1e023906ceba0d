"""The log of candles on a real Kafka, where one record is refused for good."""

import json
from random import Random

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from services.producer.backfill.sequencer import ReceivedCandle
from services.producer.candle_log import KafkaCandleLog
from services.producer.settings import ProducerSettings
from tests.support.builders import START_MS, STEP_MS, candle_bytes
from tests.support.deployment import Deployment
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


def candle(symbol: str, at: int, size: int = 0) -> ReceivedCandle:
    # Random: the broker's limit is for the compressed bytes.
    value = candle_bytes(at, symbol, "100.5") + Random(at).randbytes(size).hex().encode()
    return ReceivedCandle(symbol, START_MS + at * STEP_MS, 100.5, value, "stream", START_MS)


def test_a_record_that_is_too_large_for_the_topic_does_not_block_the_others(
    deployment: Deployment,
) -> None:
    entry = ConfigEntry("max.message.bytes", "3000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(
        ResourceType.TOPIC, deployment.topics.klines, incremental_configs=[entry]
    )
    admin = AdminClient(deployment.kafka.client_config())
    admin.incremental_alter_configs([resource])[resource].result(30)
    log = KafkaCandleLog(
        ProducerSettings.from_env(deployment.environ | {"SYMBOLS": "AAAUSDT"}), lambda: START_MS
    )
    log.open()

    batch = [candle(symbol, at) for at in range(3) for symbol in ("AAAUSDT", "BBBUSDT", "CCCUSDT")]
    batch[4] = candle("BBBUSDT", 1, size=4_000)
    log.append(batch)
    log.close()

    eventually(lambda: len(deployment.read(deployment.topics.klines)) == 9)
    records = [json.loads(each.value or b"") for each in deployment.read(deployment.topics.klines)]
    kinds = [record["type"] for record in records if record["symbol"] == "BBBUSDT"]
    assert kinds == ["candle", "gap", "candle"]
    (letter,) = deployment.dead_letters()
    assert letter.value == batch[4].value
