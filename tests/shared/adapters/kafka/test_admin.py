"""Topics on a real Kafka: made once, and never silently other than they must be."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from shared.adapters.kafka.admin import ensure_topics, topic_id
from shared.adapters.kafka.connection import KafkaConnection
from shared.core.errors import Incompatible
from shared.core.topics import TIMESTAMP_AHEAD, Topics

pytestmark = pytest.mark.integration


def test_missing_topics_are_made_once_whoever_comes_first(
    kafka: KafkaConnection, topic_prefix: str
) -> None:
    topics = Topics("5m", 3, topic_prefix)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: ensure_topics(kafka, topics), range(3)))

    admin = AdminClient(kafka.client_config())
    found = admin.list_topics(timeout=10).topics
    assert {name: len(found[name].partitions) for name in topics.specifications()} == {
        topics.klines: 3,
        topics.predictions: 3,
        topics.models: 1,
        topics.dead_letters: 1,
        topics.control: 1,
    }
    before = topic_id(kafka, topics.klines)
    ensure_topics(kafka, topics)
    assert topic_id(kafka, topics.klines) == before


def test_a_topic_with_other_partitions_is_refused(
    kafka: KafkaConnection, topic_prefix: str
) -> None:
    topics = Topics("5m", 3, topic_prefix)
    ensure_topics(kafka, topics)

    with pytest.raises(Incompatible, match="set SYMBOL_GROUPS=3"):
        ensure_topics(kafka, replace(topics, partitions=4))


def test_a_topic_that_forgets_is_refused_with_the_command_that_mends_it(
    kafka: KafkaConnection, topic_prefix: str
) -> None:
    topics = Topics("5m", 3, topic_prefix)
    admin = AdminClient(kafka.client_config())
    forgetful = NewTopic(topics.klines, 3, config={"retention.ms": "604800000"})
    admin.create_topics([forgetful])[topics.klines].result(30)

    with pytest.raises(
        Incompatible, match=r"retention.ms=604800000, it must be -1.*--add-config retention.ms=-1"
    ):
        ensure_topics(kafka, topics)


def test_a_topic_of_an_earlier_version_takes_records_ahead_of_the_brokers_clock_again(
    kafka: KafkaConnection, topic_prefix: str
) -> None:
    topics = Topics("5m", 3, topic_prefix)
    admin = AdminClient(kafka.client_config())
    _, kept = topics.specifications()[topics.klines]
    earlier = {**kept, TIMESTAMP_AHEAD: "3600000"}
    admin.create_topics([NewTopic(topics.klines, 3, config=earlier)])[topics.klines].result(30)

    ensure_topics(kafka, topics)

    resource = ConfigResource(ResourceType.TOPIC, topics.klines)
    found = admin.describe_configs([resource])[resource].result(30)
    assert {key: found[key].value for key in kept} == dict(kept)
