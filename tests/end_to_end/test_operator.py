"""After an operator's work on a stopped deployment it continues exactly or refuses to start."""

import signal
from concurrent.futures import Future
from typing import Any

import pytest
import redis
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from shared.adapters.kafka.admin import ensure_topics
from shared.core.topics import partition_for
from tests.support.builders import interleaved_candles
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
PARTITION = partition_for("BTCUSDT", PARTITIONS)


@pytest.fixture(autouse=True)
def switched_off(deployment: Deployment) -> None:
    """A deployment has predicted, written a dead letter, and was stopped."""
    deployment.publish(interleaved_candles(SYMBOLS, 0, 20))
    deployment.release()
    replica = deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 20, 30))
    deployment.publish([("BTCUSDT", b"{no json")])
    deployment.await_predictions(SYMBOLS, 29)
    eventually(deployment.dead_letters)
    assert replica.kill(signal.SIGTERM) == 0


def done(futures: dict[Any, Future[Any]]) -> None:
    for future in futures.values():
        future.result(30)


@pytest.fixture
def admin(deployment: Deployment) -> AdminClient:
    return AdminClient(deployment.kafka.client_config())


def make_anew(deployment: Deployment, admin: AdminClient, topic: str) -> None:
    done(admin.delete_topics([topic], operation_timeout=30))
    eventually(lambda: topic not in admin.list_topics(timeout=10).topics)
    ensure_topics(deployment.kafka, deployment.topics)


def forget_redis(deployment: Deployment) -> None:
    with redis.Redis.from_url(deployment.redis_url) as client:
        client.delete(*client.scan_iter(f"*{deployment.prefix}*"))


def refusal_of(deployment: Deployment) -> str:
    replica = deployment.start_predictor()
    assert replica.process.wait(60) == 1
    return replica.log_text().splitlines()[-1]


def test_deleted_group_offsets_publish_nothing_twice(
    deployment: Deployment, admin: AdminClient
) -> None:
    done(admin.delete_consumer_groups([f"{deployment.prefix}ulstm-predictor-5m"]))
    deployment.publish(interleaved_candles(SYMBOLS, 30, 33))
    deployment.start_predictor()

    found = deployment.await_predictions(SYMBOLS, 32)

    for symbol in SYMBOLS:
        assert [p.steps for p in found[symbol]] == list(range(13))
    assert len(deployment.dead_letters()) == 1
    assert deployment.replay_agrees()


def test_predictions_made_anew_are_published_again_with_the_same_bytes(
    deployment: Deployment, admin: AdminClient
) -> None:
    before = deployment.predictions_sha256()
    make_anew(deployment, admin, deployment.topics.predictions)
    deployment.start_predictor()

    deployment.await_predictions(SYMBOLS, 29)

    assert deployment.predictions_sha256() == before
    deployment.publish(interleaved_candles(SYMBOLS, 30, 32))
    deployment.await_predictions(SYMBOLS, 31)
    assert deployment.replay_agrees()


def held_metric(partition: int) -> str:
    return f'ulstm_predictor_held_groups{{partition="{partition}"}}'


def check_all_held(deployment: Deployment, reason: str) -> None:
    """Start a predictor, which holds every group of `SYMBOLS` for a reason, and kill it."""
    replica = deployment.start_predictor()
    groups = {partition_for(symbol, PARTITIONS) for symbol in SYMBOLS}
    eventually(lambda: all(replica.metric(held_metric(each)) == 1 for each in groups), 60)
    assert reason in replica.get("/health/ready")[1]
    replica.kill()


def test_klines_made_anew_are_held_short_or_long(
    deployment: Deployment, admin: AdminClient
) -> None:
    published = deployment.predictions_sha256()
    make_anew(deployment, admin, deployment.topics.klines)
    deployment.publish(interleaved_candles(SYMBOLS, 0, 5))
    check_all_held(deployment, "its klines end at")

    deployment.publish(interleaved_candles(SYMBOLS, 5, 50))
    deployment.release(seed=2)
    deployment.publish(interleaved_candles(SYMBOLS, 50, 60))

    check_all_held(deployment, "the topic was recreated or restored with other offsets")
    assert deployment.predictions_sha256() == published


def test_records_deleted_from_the_archive_hold_the_group_that_misses_them(
    deployment: Deployment, admin: AdminClient
) -> None:
    done(admin.delete_records([TopicPartition(deployment.topics.klines, PARTITION, 25)]))
    forget_redis(deployment)

    replica = deployment.start_predictor()
    eventually(lambda: "are needed; they begin at 25" in replica.get("/health/ready")[1])
    assert replica.metric(held_metric(PARTITION)) == 1


def test_records_deleted_from_the_archive_are_not_missed_where_redis_has_what_came_of_them(
    deployment: Deployment, admin: AdminClient
) -> None:
    done(admin.delete_records([TopicPartition(deployment.topics.klines, PARTITION, 25)]))
    deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 30, 32))

    found = deployment.await_predictions(SYMBOLS, 31)

    assert [len(found[s]) for s in SYMBOLS] == [12, 12, 12]


def test_added_partitions_are_refused(deployment: Deployment, admin: AdminClient) -> None:
    done(admin.create_partitions([NewPartitions(deployment.topics.klines, PARTITIONS + 1)]))

    assert "partitions were added, which moves symbols to other partitions" in refusal_of(
        deployment
    )
