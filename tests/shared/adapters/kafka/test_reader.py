"""Spans of a topic, read without a consumer group."""

import pytest

from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.kafka.reader import Reader
from tests.support.builders import START_MS
from tests.support.deployment import Deployment

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("key", "values"), [(b"a", [b"0", b"2"]), (b"none", []), (None, [b"0", b"1", b"2", b"3", b"4"])]
)
def test_a_reader_of_one_key_passes_over_the_others(
    deployment: Deployment, key: bytes | None, values: list[bytes]
) -> None:
    topic, keys = deployment.topics.klines, [b"a", b"b", b"a", b"b", None]
    deployment.write(
        ProducerRecord(topic, 0, one, str(at).encode(), START_MS) for at, one in enumerate(keys)
    )
    deployment.await_settled(topic, 0)

    with Reader(deployment.kafka, topic, key=key) as reader:
        whole = [record.value for block in reader.read(0, 0) for record in block]
        part = [record.value for block in reader.read(0, 1, 4) for record in block]

    assert whole == values
    assert part == [value for value in values if value in {b"1", b"2", b"3"}]


@pytest.mark.parametrize("start", [0, 1, 5, 1_000_000])
def test_nothing_is_read_from_beyond_the_end(deployment: Deployment, start: int) -> None:
    with Reader(deployment.kafka, deployment.topics.klines) as reader:
        assert list(reader.read(0, start, start + 1)) == []
