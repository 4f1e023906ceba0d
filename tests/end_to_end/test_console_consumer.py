"""The consumer without Python, as docs/how-to/read-predictions.md has it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from shared.adapters.kafka.producer import ProducerRecord
from shared.local_servers.binaries import JARS
from tests.support.deployment import Deployment
from tests.support.recorded_log import eventful_klines, record_log

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "read-predictions.md"
PREDICTIONS: Final = record_log(eventful_klines()).predictions


def command_of_the_page() -> str:
    """Return the command, as it is typed in a checkout."""
    found = re.search(r"Without Docker,.*?\n\n((?:    .*\n)+)", PAGE.read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def test_kafkas_console_consumer_prints_keys_and_values(deployment: Deployment) -> None:
    topic = deployment.topics.predictions
    deployment.write(
        ProducerRecord(topic, one.partition, one.key, one.value, one.timestamp_ms)
        for one in PREDICTIONS
    )
    command = (
        command_of_the_page()
        .replace(".venv/bin/python", sys.executable)
        .replace(".venv/kafka", str(JARS))
        .replace("127.0.0.1:9092", str(deployment.kafka))
        .replace("predictions.5m", topic)
    )

    consumer = subprocess.run(
        ["bash", "-c", f"{command.rstrip()} --max-messages {len(PREDICTIONS)}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert consumer.returncode == 0, consumer.stderr
    assert consumer.stdout.splitlines() == [
        f"{(one.key or b'').decode()}\t{(one.value or b'').decode()}" for one in PREDICTIONS
    ]
