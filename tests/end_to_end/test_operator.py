"""What an operator does to a stack that is switched off: it goes on exactly, or refuses and says why."""

import signal
from concurrent.futures import Future
from typing import Any

import pytest
import redis
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from shared.adapters.kafka.admin import ensure_topics
from shared.core.topics import partition_for
from tests.support.deployment import GROUPS, Stack, rows
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
GROUP = partition_for("BTCUSDT", GROUPS)


@pytest.fixture(autouse=True)
def switched_off(stack: Stack) -> None:
    """It has predicted, set a record aside, and stands still."""
    stack.publish(rows(SYMBOLS, 0, 20))
    stack.promote()
    replica = stack.predictor()
    stack.publish(rows(SYMBOLS, 20, 30))
    stack.publish([("BTCUSDT", b"{no json")])
    stack.awaits(SYMBOLS, 29)
    eventually(stack.dead_letters)
    assert replica.kill(signal.SIGTERM) == 0


def done(futures: dict[Any, Future[Any]]) -> None:
    for future in futures.values():
        future.result(30)


@pytest.fixture
def admin(stack: Stack) -> AdminClient:
    return AdminClient({"bootstrap.servers": stack.kafka})


def make_anew(stack: Stack, admin: AdminClient, topic: str) -> None:
    done(admin.delete_topics([topic], operation_timeout=30))
    eventually(lambda: topic not in admin.list_topics(timeout=10).topics)
    ensure_topics(stack.kafka, stack.settings.topics)


def forget_redis(stack: Stack) -> None:
    with redis.Redis.from_url(stack.redis) as client:
        client.delete(*client.scan_iter(f"*{stack.prefix}*"))


def refused(stack: Stack) -> str:
    replica = stack.predictor()
    assert replica.process.wait(60) == 1
    return replica.text().splitlines()[-1]


def test_deleted_group_offsets_publish_nothing_twice(stack: Stack, admin: AdminClient) -> None:
    done(admin.delete_consumer_groups([f"{stack.prefix}ulstm-predictor-5m"]))
    stack.publish(rows(SYMBOLS, 30, 33))
    stack.predictor()

    found = stack.awaits(SYMBOLS, 32)

    for symbol in SYMBOLS:
        assert [p.steps for p in found[symbol]] == list(range(13))
    assert len(stack.dead_letters()) == 1
    assert stack.replay_agrees()


def test_predictions_made_anew_are_published_again_with_the_same_bytes(
    stack: Stack, admin: AdminClient
) -> None:
    before = stack.digest()
    make_anew(stack, admin, stack.settings.topics.predictions)
    stack.predictor()

    stack.awaits(SYMBOLS, 29)

    assert stack.digest() == before
    stack.publish(rows(SYMBOLS, 30, 32))
    stack.awaits(SYMBOLS, 31)
    assert stack.replay_agrees()


def test_klines_made_anew_are_refused_short_or_long(stack: Stack, admin: AdminClient) -> None:
    published = stack.digest()
    make_anew(stack, admin, stack.settings.topics.klines)
    stack.publish(rows(SYMBOLS, 0, 5))
    assert "its klines end at" in refused(stack)

    stack.publish(rows(SYMBOLS, 5, 50))
    stack.promote(seed=2)
    stack.publish(rows(SYMBOLS, 50, 60))

    assert "the topic was made anew or restored with other offsets" in refused(stack)
    assert stack.digest() == published


def test_records_deleted_from_the_archive_are_missed_by_a_rebuild_and_named(
    stack: Stack, admin: AdminClient
) -> None:
    done(admin.delete_records([TopicPartition(stack.settings.topics.klines, GROUP, 25)]))
    forget_redis(stack)

    assert "are needed; they begin at 25" in refused(stack)


def test_records_deleted_from_the_archive_are_not_missed_where_redis_has_what_came_of_them(
    stack: Stack, admin: AdminClient
) -> None:
    done(admin.delete_records([TopicPartition(stack.settings.topics.klines, GROUP, 25)]))
    stack.predictor()
    stack.publish(rows(SYMBOLS, 30, 32))

    found = stack.awaits(SYMBOLS, 31)

    assert [len(found[s]) for s in SYMBOLS] == [12, 12, 12]


def test_added_partitions_are_refused(stack: Stack, admin: AdminClient) -> None:
    done(admin.create_partitions([NewPartitions(stack.settings.topics.klines, GROUPS + 1)]))

    assert "partitions were added, which moves symbols to other groups" in refused(stack)
