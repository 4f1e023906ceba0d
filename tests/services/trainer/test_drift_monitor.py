"""Drift is found in what the predictors publish."""

from pathlib import Path

import pytest

from services.trainer.drift_monitor import DriftMonitor
from shared.adapters.bundle_codec import version_of
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.connection import KafkaConnection
from shared.local_servers import launcher
from shared.local_servers.programs import free_port
from tests.services.trainer.drift_predictions import failing_predictions
from tests.services.trainer.trainer_deployment import PARTITIONS, TrainerDeployment
from tests.support.builders import START_MS, a_card, bundle_bytes

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_a_monitor_survives_a_kafka_that_is_away(tmp_path: Path) -> None:
    kafka_port = free_port()
    deployment = TrainerDeployment(
        KafkaConnection(f"127.0.0.1:{kafka_port}"),
        "redis://127.0.0.1:1/0",
        "",
        tmp_path,
        partitions=PARTITIONS,
    )
    monitor = DriftMonitor(deployment.trainer_settings(DRIFT_CANDLES="40"))
    assert monitor.check() is None

    with launcher.start(tmp_path / "servers", kafka_port=kafka_port, redis_port=free_port()):
        ensure_topics(deployment.kafka, deployment.topics)
        deployment.fill()
        assert monitor.check() is None
        version = version_of(a_card(), bundle_bytes())
        deployment.registry.release(bundle_bytes(), version, START_MS, promote=True)
        deployment.write(failing_predictions(deployment, version, 100))
        for partition in range(PARTITIONS):  # a commit shows in one partition after the other
            deployment.await_settled(deployment.topics.predictions, partition)

        reason = monitor.check()

        assert reason is not None
        assert "over the last 40 candles" in reason
        assert monitor.check() is None  # there are no new predictions
