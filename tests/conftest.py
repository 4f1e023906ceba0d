"""A real Kafka and a real Redis for the tests.

Each worker of a run starts its own. Where they cannot start, tests are skipped; in CI they fail.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings

from shared.adapters.kafka.connection import KafkaConnection
from shared.core.errors import Unavailable
from shared.local_servers import launcher
from shared.local_servers.data_folder import Servers
from tests.support.deployment import Deployment

# How long an example takes depends on the machine; no test is about that.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def running_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Kafka and Redis on free ports; they end with the session, however it ends."""
    try:
        running = launcher.start(tmp_path_factory.mktemp("servers"), die_with_parent=True)
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    with running:
        yield running.servers


@pytest.fixture(scope="session")
def kafka(running_servers: Servers) -> KafkaConnection:
    return running_servers.kafka


@pytest.fixture
def redis_url(running_servers: Servers) -> str:
    """Return the address of an empty Redis."""
    client = redis.Redis.from_url(running_servers.redis_url)
    try:
        client.flushall()
    finally:
        client.close()
    return running_servers.redis_url


@pytest.fixture
def topic_prefix() -> str:
    """Return a prefix of topic names that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}."


@pytest.fixture
def deployment(
    kafka: KafkaConnection, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Iterator[Deployment]:
    with Deployment(kafka, redis_url, topic_prefix, tmp_path) as deployment:
        yield deployment
