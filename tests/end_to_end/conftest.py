from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment import Stack


@pytest.fixture
def stack(
    kafka_bootstrap: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Iterator[Stack]:
    with Stack(kafka_bootstrap, redis_url, topic_prefix, tmp_path) as stack:
        yield stack
