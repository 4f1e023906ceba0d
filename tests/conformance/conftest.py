from collections.abc import Iterator

import pytest

from tests.conformance.harness import Kit
from tests.conformance.kafka_harness import KafkaKit
from tests.conformance.model_harness import ModelKit
from tests.conformance.overdue import Overdue, overdue


@pytest.fixture(
    scope="session", params=[pytest.param("kafka", marks=pytest.mark.integration), "model"]
)
def shared_kit(request: pytest.FixtureRequest) -> Iterator[Kit]:
    """Where the two differ, the model is wrong."""
    kit = (
        ModelKit()
        if request.param == "model"
        else KafkaKit(request.getfixturevalue("kafka_bootstrap"))
    )
    yield kit
    kit.end()


@pytest.fixture
def kit(shared_kit: Kit) -> Iterator[Kit]:
    yield shared_kit
    shared_kit.tidy()


@pytest.fixture(scope="session")
def gone(shared_kit: Kit) -> Overdue:
    """Transactions that have timed out."""
    return overdue(shared_kit)
