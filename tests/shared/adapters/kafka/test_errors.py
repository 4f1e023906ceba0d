import pytest
from confluent_kafka import KafkaError, KafkaException

from shared.adapters.kafka.errors import to_app_error
from shared.core.errors import Incompatible, Unavailable


@pytest.mark.parametrize(
    "code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED]
)
def test_a_right_that_was_withdrawn_is_no_reason_to_try_again(code: int) -> None:
    error = to_app_error(KafkaException(KafkaError(code)), "kafka:9092", "reading klines")

    assert isinstance(error, Incompatible)
    assert "reading klines: Kafka at kafka:9092 says" in str(error)


def test_a_broker_that_does_not_answer_is_one() -> None:
    error = to_app_error(
        KafkaException(KafkaError(KafkaError._TRANSPORT)), "kafka:9092", "reading klines"
    )

    assert isinstance(error, Unavailable)
