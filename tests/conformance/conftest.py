from collections.abc import Iterator

import pytest

from tests.conformance.harness import ClientHarness
from tests.conformance.kafka_harness import KafkaHarness
from tests.conformance.model_harness import ModelHarness
from tests.conformance.timed_out import TimedOutTransactions, open_until_timed_out


@pytest.fixture(
    scope="session", params=[pytest.param("kafka", marks=pytest.mark.integration), "model"]
)
def session_harness(request: pytest.FixtureRequest) -> Iterator[ClientHarness]:
    """Run each test on Kafka and on the model; where they differ, the model is wrong."""
    harness = (
        ModelHarness()
        if request.param == "model"
        else KafkaHarness(request.getfixturevalue("kafka"))
    )
    yield harness
    harness.close_all()


@pytest.fixture
def harness(session_harness: ClientHarness) -> Iterator[ClientHarness]:
    yield session_harness
    session_harness.close_clients()


@pytest.fixture(scope="session")
def timed_out(session_harness: ClientHarness) -> TimedOutTransactions:
    """Return transactions that have timed out."""
    return open_until_timed_out(session_harness)
