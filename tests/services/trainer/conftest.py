"""Deployments for the tests of the trainer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.adapters.kafka.connection import KafkaConnection
from tests.services.trainer.trainer_deployment import PARTITIONS, TrainerDeployment


@pytest.fixture
def deployment(
    kafka: KafkaConnection, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Iterator[TrainerDeployment]:
    with TrainerDeployment(
        kafka, redis_url, topic_prefix, tmp_path, partitions=PARTITIONS
    ) as deployment:
        yield deployment
