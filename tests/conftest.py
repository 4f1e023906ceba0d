"""Servers for the tests: real ones, shared by the session; skipped if missing at home, required in CI."""

import os
import uuid
from collections.abc import Iterator

import pytest
import redis

from shared.core.errors import Unavailable
from shared.local_servers import launcher


@pytest.fixture(scope="session")
def running_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launcher.Servers]:
    """Kafka and Redis on free ports; none outlives the session, however it ends."""
    try:
        running = launcher.start(tmp_path_factory.mktemp("servers"), die_with_parent=True)
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    with running:
        yield running.servers


@pytest.fixture(scope="session")
def kafka_bootstrap(running_servers: launcher.Servers) -> str:
    return running_servers.kafka_bootstrap


@pytest.fixture
def redis_url(running_servers: launcher.Servers) -> str:
    """The address of an empty Redis."""
    client = redis.Redis.from_url(running_servers.redis_url)
    try:
        client.flushall()
    finally:
        client.close()
    return running_servers.redis_url


@pytest.fixture
def topic_prefix() -> str:
    """A prefix of topic names that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}."
