"""The health of real services on a real Kafka."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from services.dashboard.cluster.monitor import KafkaClusterMonitor
from services.dashboard.ports import LogFacts
from shared.adapters.kafka.connection import KafkaConnection
from shared.core.control import ExchangeBan
from shared.core.topics import Topics
from shared.log.control_topic import ControlTopic
from tests.services.cli.foreign_records import foreign_records
from tests.support.deployment import Deployment
from tests.support.waiting import eventually

pytestmark = pytest.mark.end_to_end

LOG = LogFacts(has_candles=True, is_champion_known=True, champion="m1")


def monitor_of(deployment: Deployment, *urls: str) -> KafkaClusterMonitor:
    group = f"{deployment.prefix}ulstm-predictor-5m"
    return KafkaClusterMonitor(deployment.kafka, deployment.topics, group, urls)


def refreshed(monitor: KafkaClusterMonitor) -> Mapping[str, Any]:
    monitor.refresh(time.time_ns() // 1_000_000, LOG)
    return monitor.page()


def whats(page: Mapping[str, Any]) -> list[str]:
    return [one["what"] for one in page["problems"]]


def test_a_predictor_shows_with_its_symbol_groups_and_its_end_is_a_problem(
    deployment: Deployment,
) -> None:
    replica = deployment.start_predictor()
    monitor = monitor_of(deployment, f"http://localhost:{replica.port}")

    def is_healthy() -> bool:
        page = refreshed(monitor)
        return page["partitions"] and page["services"][0]["is_ready"] and not page["problems"]

    eventually(is_healthy, 60.0)
    page, summary = monitor.page(), monitor.summary()
    member = page["replicas"][0]["member"]
    assert [one["replica"] for one in page["partitions"]] == [member] * 3
    assert page["services"][0]["name"] == "predictor"
    assert page["redis"]["answers"] is True
    assert page["kafka"]["consumer_group"] == "stable"
    assert (summary["problems"], summary["aborted_transactions"]) == (0, 0.0)
    assert not monitor.refresh(time.time_ns() // 1_000_000, LOG)

    replica.kill()

    eventually(lambda: "Nobody predicts" in whats(refreshed(monitor)), 60.0)
    eventually(lambda: "The service predictor does not answer" in whats(refreshed(monitor)), 60.0)


def test_foreign_records_on_every_topic_break_nothing(deployment: Deployment) -> None:
    topics = deployment.topics
    for topic in topics.specifications():
        for key in (None, b"\xff", b"BTCUSDT"):
            deployment.write(foreign_records(topic, 0, key))
        deployment.await_settled(topic, 0)
    monitor = monitor_of(deployment)

    page = refreshed(monitor)

    assert page["kafka"]["answers"] is True
    assert [one["lag"] > 0 for one in page["partitions"]] == [True, False, False]
    assert page["partitions"][0]["oldest_unread_ms"] is not None


def test_a_ban_of_the_exchange_is_told_by_the_control_topic(deployment: Deployment) -> None:
    until_ms = time.time_ns() // 1_000_000 + 600_000
    control = ControlTopic(deployment.kafka, deployment.topics, "test")
    control.publish([ExchangeBan("binance", until_ms)])
    deployment.await_settled(deployment.topics.control, 0)

    assert any(
        "no REST request for 10 min" in what for what in whats(refreshed(monitor_of(deployment)))
    )


def test_topics_that_are_missing_are_named(deployment: Deployment) -> None:
    topics = Topics("5m", 3, f"{deployment.prefix}other.")
    monitor = KafkaClusterMonitor(deployment.kafka, topics, "group", ())

    page = refreshed(monitor)

    assert whats(page) == ["5 topics are missing"]
    assert topics.klines in page["kafka"]["missing_topics"]


def test_without_kafka_the_first_problem_says_so() -> None:
    monitor = KafkaClusterMonitor(KafkaConnection("127.0.0.1:1"), Topics("5m", 1), "group", ())

    page = refreshed(monitor)

    assert whats(page) == ["Kafka does not answer"]
    assert page["partitions"] == []
