from collections.abc import Iterator

import pytest

from tests.conformance.kafka_kit import KafkaKit
from tests.conformance.kit import Kit
from tests.conformance.model_kit import ModelKit


@pytest.fixture(scope="session")
def kafka_kit(kafka_bootstrap: str) -> Iterator[KafkaKit]:
    kit = KafkaKit(kafka_bootstrap)
    yield kit
    kit.end()


@pytest.fixture(params=[pytest.param("kafka", marks=pytest.mark.integration), "model"])
def kit(request: pytest.FixtureRequest) -> Iterator[Kit]:
    """Where the two differ, the model is wrong."""
    if request.param == "model":
        yield ModelKit()
        return
    kit: KafkaKit = request.getfixturevalue("kafka_kit")
    yield kit
    kit.tidy()
