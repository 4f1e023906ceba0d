"""Python clients that are not librdkafka read what is written, as read-predictions.md says."""

import subprocess
import sys
from dataclasses import replace
from typing import Final

import pytest

from shared.adapters.kafka.connection import Compression
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from tests.support.deployment import Deployment
from tests.support.recorded_log import eventful_klines, record_log

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

PREDICTIONS: Final = record_log(eventful_klines()).predictions

# As they are installed without further packages: `import lz4` and `import cramjam` then fail.
BARE: Final = "import sys; sys.modules['lz4'] = sys.modules['cramjam'] = None"

KAFKA_PYTHON: Final = """
import sys
from kafka import KafkaConsumer, TopicPartition

_, where, topic, count = sys.argv
consumer = KafkaConsumer(
    bootstrap_servers=where,
    isolation_level="read_committed",
    auto_offset_reset="earliest",
    consumer_timeout_ms=20_000,
)
consumer.assign([TopicPartition(topic, 0)])
for _, message in zip(range(int(count)), consumer):
    print(message.value.decode())
consumer.close()
"""

AIOKAFKA: Final = """
import asyncio
import sys
from aiokafka import AIOKafkaConsumer

async def read(where, topic, count):
    async with AIOKafkaConsumer(
        topic,
        bootstrap_servers=where,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    ) as consumer, asyncio.timeout(20):
        for _ in range(int(count)):
            print((await consumer.getone()).value.decode())

asyncio.run(read(*sys.argv[1:]))
"""

CLIENTS: Final = [
    pytest.param(KAFKA_PYTHON, id="kafka-python"),
    pytest.param(AIOKAFKA, id="aiokafka"),
]


def write(deployment: Deployment, codec: Compression) -> None:
    writer = TransactionalProducer(
        replace(deployment.kafka, compression=codec), deployment.topics.transactional_id("test")
    )
    topic = deployment.topics.predictions
    writer.write([ProducerRecord(topic, 0, one.key, one.value, 0) for one in PREDICTIONS])
    writer.close()


def read(deployment: Deployment, client: str) -> "subprocess.CompletedProcess[str]":
    arguments = (str(deployment.kafka), deployment.topics.predictions, str(len(PREDICTIONS)))
    return subprocess.run(
        [sys.executable, "-c", client, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_they_read_what_is_compressed_with_gzip_or_not_at_all(
    deployment: Deployment, codec: Compression, client: str
) -> None:
    write(deployment, codec)

    found = read(deployment, BARE + client)

    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == [(one.value or b"").decode() for one in PREDICTIONS]


@pytest.mark.parametrize("client", CLIENTS)
def test_they_read_lz4_with_its_package(deployment: Deployment, client: str) -> None:
    write(deployment, "lz4")

    found, bare = read(deployment, client), read(deployment, BARE + client)

    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == [(one.value or b"").decode() for one in PREDICTIONS]
    assert bare.returncode != 0
    assert "UnsupportedCodecError" in bare.stderr
