"""Replace a Kafka client whose metadata is stale."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import Reader
from shared.core.errors import Unavailable

TOPIC = "klines.5m"


class StaleConsumer:
    """confluent-kafka's consumer, whose metadata may lack the partition for good."""

    def __init__(self, *, is_known: bool) -> None:
        self.is_known, self.is_closed, self.assigned = is_known, False, list[object]()

    def get_watermark_offsets(self, *_: object, timeout: float) -> tuple[int, int]:
        if not self.is_known:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
        return 0, 7

    def list_topics(self, topic: str, timeout: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None})})

    def assignment(self) -> list[object]:
        return self.assigned

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def clients() -> list[StaleConsumer]:
    return [StaleConsumer(is_known=False), StaleConsumer(is_known=True)]


@pytest.fixture
def reader(clients: list[StaleConsumer]) -> Reader:
    made = iter(clients)
    return Reader(KafkaConnection("localhost:1"), TOPIC, client=lambda _: cast(Any, next(made)))


def test_a_client_with_stale_metadata_is_replaced(
    reader: Reader, clients: list[StaleConsumer]
) -> None:
    with pytest.raises(Unavailable, match=r"reading the ends of klines\.5m"):
        reader.ends(0)

    assert reader.ends(0) == (0, 7)
    assert [client.is_closed for client in clients] == [True, False]


def test_a_client_that_is_reading_stays(reader: Reader, clients: list[StaleConsumer]) -> None:
    clients[0].assigned = [object()]

    for _ in range(2):
        with pytest.raises(Unavailable):
            reader.ends(0)

    assert not clients[0].is_closed
