"""Deployments for the tests of the trainer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.trainer.trainer_deployment import PARTITIONS, TrainerDeployment


@pytest.fixture
def deployment(
    kafka_bootstrap: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Iterator[TrainerDeployment]:
    with TrainerDeployment(
        kafka_bootstrap, redis_url, topic_prefix, tmp_path, partitions=PARTITIONS
    ) as deployment:
        yield deployment
