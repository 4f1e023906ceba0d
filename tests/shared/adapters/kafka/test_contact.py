"""Whether Kafka was heard of."""

import pytest

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.contact import SILENCE_S, ContactRecord, KafkaContact
from shared.local_servers.programs import free_port
from tests.support.waiting import eventually


def test_kafka_counts_as_away_after_a_silence_and_the_error_is_named() -> None:
    record = ContactRecord("k:9092", "klines.5m", 0.0)
    assert record.problem(0.0) is not None, "it was not heard of yet"

    record.note_answer([], 1.0)
    record.note_failure("timed out")
    assert record.problem(1.0 + SILENCE_S) is None

    silent_s = 2.0 + SILENCE_S
    assert record.problem(1.0 + silent_s) == (
        f"Kafka at k:9092 has not answered for {silent_s:.0f} s: timed out"
    )
    record.note_answer([], 20.0)
    assert record.problem(20.0) is None


def test_partitions_that_no_broker_leads_are_named() -> None:
    record = ContactRecord("k:9092", "klines.5m", 0.0)

    record.note_answer([2, 4], 1.0)

    assert record.problem(1.0) == "no broker leads 2 partitions of klines.5m: 2, 4"


@pytest.mark.integration
def test_kafka_is_heard_of_also_before_the_topic_is_there(kafka: KafkaConnection) -> None:
    with KafkaContact(kafka, "no-such-topic") as contact:
        eventually(lambda: contact.problem() is None)


def test_where_nothing_listens_the_reason_is_said() -> None:
    with KafkaContact(KafkaConnection(f"127.0.0.1:{free_port()}"), "klines.5m") as contact:
        eventually(lambda: "it was not asked yet" not in str(contact.problem()))
        assert "has not answered" in str(contact.problem())
