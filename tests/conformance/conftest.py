from collections.abc import Iterator

import pytest

from shared.adapters.kafka.group_settings import GroupProtocol
from tests.conformance.harness import ClientHarness
from tests.conformance.kafka_harness import KafkaHarness
from tests.conformance.model_harness import ModelHarness
from tests.conformance.timed_out import TimedOutTransactions, open_until_timed_out

BOTH = (pytest.param("kafka", marks=pytest.mark.integration), "model")


@pytest.fixture(scope="session", params=BOTH)
def session_harness(request: pytest.FixtureRequest) -> Iterator[ClientHarness]:
    """Run each test on Kafka and on the model; where they differ, the model is wrong."""
    yield from _harness(request, "classic")


@pytest.fixture(scope="session", params=BOTH)
def session_harness_of_consumer_protocol(
    request: pytest.FixtureRequest,
) -> Iterator[ClientHarness]:
    """Run each test on Kafka and on the model, with groups of GROUP_PROTOCOL=consumer."""
    yield from _harness(request, "consumer")


def _harness(request: pytest.FixtureRequest, protocol: GroupProtocol) -> Iterator[ClientHarness]:
    harness = (
        ModelHarness(protocol)
        if request.param == "model"
        else KafkaHarness(request.getfixturevalue("kafka"), protocol)
    )
    yield harness
    harness.close_all()


@pytest.fixture
def harness(session_harness: ClientHarness) -> Iterator[ClientHarness]:
    yield session_harness
    session_harness.close_clients()


@pytest.fixture
def consumer_harness(
    session_harness_of_consumer_protocol: ClientHarness,
) -> Iterator[ClientHarness]:
    yield session_harness_of_consumer_protocol
    session_harness_of_consumer_protocol.close_clients()


@pytest.fixture(scope="session")
def timed_out(session_harness: ClientHarness) -> TimedOutTransactions:
    """Return transactions that have timed out."""
    return open_until_timed_out(session_harness)
