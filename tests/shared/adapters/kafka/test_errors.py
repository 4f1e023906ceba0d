from typing import Final

import pytest
from confluent_kafka import KafkaError, KafkaException

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import to_app_error, to_refusal
from shared.core.errors import Incompatible, Unavailable

KAFKA: Final = KafkaConnection("kafka:9092")


@pytest.mark.parametrize(
    "code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED]
)
def test_a_right_that_was_withdrawn_is_no_reason_to_try_again(code: int) -> None:
    error = to_app_error(KafkaException(KafkaError(code)), KAFKA, "reading klines")

    assert isinstance(error, Incompatible)
    assert "reading klines: Kafka at kafka:9092 says" in str(error)


def test_a_broker_that_does_not_answer_is_one() -> None:
    error = to_app_error(KafkaException(KafkaError(KafkaError._TRANSPORT)), KAFKA, "reading klines")

    assert isinstance(error, Unavailable)


@pytest.mark.parametrize(
    ("code", "concerns_record", "advice"),
    [
        (KafkaError.INVALID_TIMESTAMP, True, "message.timestamp.after.max.ms"),
        (KafkaError.MSG_SIZE_TOO_LARGE, True, "max.message.bytes"),
        (KafkaError.RECORD_LIST_TOO_LARGE, True, "max.message.bytes"),
        (KafkaError.INVALID_RECORD, True, "operator"),
        (KafkaError.POLICY_VIOLATION, True, "operator"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, False, "right to write"),
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, False, "right to write"),
    ],
)
def test_a_permanent_refusal_says_what_to_do(code: int, concerns_record: bool, advice: str) -> None:
    refusal = to_refusal(KafkaError(code), "transaction on Kafka at kafka:9092")

    assert refusal is not None
    assert refusal.concerns_record == concerns_record
    assert advice in str(refusal)


def test_a_broker_that_is_away_refuses_nothing() -> None:
    assert to_refusal(KafkaError(KafkaError._TRANSPORT), "transaction") is None
