"""A transaction that its writer left open, and its end by another writer."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from confluent_kafka import Producer

from shared.adapters.kafka.producer import WRITER_HEADER, ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import Reader
from tests.support.deployment import Deployment
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def writer(deployment: Deployment) -> Iterator[TransactionalProducer]:
    name = f"{deployment.prefix}successor"
    topic = deployment.topics.predictions
    with closing(TransactionalProducer(deployment.kafka, name, signed_topic=topic)) as writer:
        yield writer


def prediction(deployment: Deployment, value: bytes, partition: int = 0) -> ProducerRecord:
    return ProducerRecord(deployment.topics.predictions, partition, b"BTCUSDT", value, 0)


def test_the_first_record_of_each_partition_names_its_writer(
    deployment: Deployment, writer: TransactionalProducer
) -> None:
    name = {WRITER_HEADER: f"{deployment.prefix}successor".encode()}
    places = [(b"a", 0), (b"b", 0), (b"c", 1)]
    writer.write([prediction(deployment, value, partition) for value, partition in places])

    deployment.await_settled(deployment.topics.predictions, 1)
    deployment.await_settled(deployment.topics.predictions, 0)
    found = deployment.read(deployment.topics.predictions)
    assert [record.headers for record in found] == [name, {}, name]


def test_a_transaction_that_was_left_open_is_found_and_aborted_at_once(
    deployment: Deployment, writer: TransactionalProducer
) -> None:
    name, topic = f"{deployment.prefix}left", deployment.topics.predictions
    left = Producer(deployment.kafka.client_config({"transactional.id": name}))
    left.init_transactions(20.0)
    left.begin_transaction()
    left.produce(topic, b"open", partition=0, headers=[(WRITER_HEADER, name.encode())])
    left.flush(20.0)

    with Reader(deployment.kafka, topic) as reader:
        record = reader.first_open_record(0)
        assert record is not None
        assert (record.value, record.headers) == (b"open", {WRITER_HEADER: name.encode()})
        writer.abort_transaction_of(name)
        eventually(lambda: reader.is_settled(0), 5.0)
        assert reader.first_open_record(0) is None
    writer.write([prediction(deployment, b"mine")])
    deployment.await_settled(topic, 0)
    assert [record.value for record in deployment.read(topic)] == [b"mine"]


def test_a_writer_does_not_shut_itself_out(
    deployment: Deployment, writer: TransactionalProducer
) -> None:
    writer.abort_transaction_of(f"{deployment.prefix}successor")
    writer.write([prediction(deployment, b"mine")])

    deployment.await_settled(deployment.topics.predictions, 0)
    assert len(deployment.read(deployment.topics.predictions)) == 1
