from typing import Final

import pytest
from confluent_kafka import KafkaError, KafkaException

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import to_app_error, to_refusal
from shared.core.errors import NotAuthorized, Unavailable

KAFKA: Final = KafkaConnection("kafka:9092")


SECURED: Final = KafkaConnection("kafka:9093", {"sasl.username": "predictor", "sasl.password": "x"})


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    ],
)
def test_a_missing_right_is_named_with_who_lacks_it_and_is_no_reason_to_try_again(
    code: int,
) -> None:
    failure = KafkaException(KafkaError(code))

    error = to_app_error(failure, SECURED, "reading klines", "Read on topic klines")

    assert isinstance(error, NotAuthorized)
    assert "Kafka at kafka:9093 refuses it to user predictor" in str(error)
    assert "Read on topic klines is missing" in str(error)


def test_who_is_not_let_in_is_told_which_settings_to_check() -> None:
    reason = "sasl_ssl://kafka:9093/1: Authentication failed (after 312ms in state AUTH_REQ)"
    failure = KafkaException(KafkaError(KafkaError._AUTHENTICATION, reason))

    error = to_app_error(failure, SECURED, "connecting")

    assert isinstance(error, NotAuthorized)
    assert "does not let user predictor in (Authentication failed)" in str(error)
    assert "KAFKA_SASL_PASSWORD" in str(error)


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
        (KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT, False, "upgrade the broker"),
    ],
)
def test_a_permanent_refusal_says_what_to_do(code: int, concerns_record: bool, advice: str) -> None:
    refusal = to_refusal(KafkaError(code), "transaction on Kafka at kafka:9092")

    assert refusal is not None
    assert refusal.concerns_record == concerns_record
    assert advice in str(refusal)


def test_a_broker_that_is_away_refuses_nothing() -> None:
    assert to_refusal(KafkaError(KafkaError._TRANSPORT), "transaction") is None
