"""Versions and promotions read from a real Kafka."""

from typing import Any

import pytest

from services.dashboard.models.logged_models import LoggedModels
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord
from shared.core.errors import Unavailable
from shared.core.topics import Topics
from tests.services.cli.foreign_records import foreign_records
from tests.support.builders import START_MS, STEP_MS, candle_bytes
from tests.support.deployment import Deployment

pytestmark = pytest.mark.integration


def write_candle(deployment: Deployment, at: int) -> None:
    topic = deployment.topics.klines
    time_ms = START_MS + (at + 1) * STEP_MS - 1
    deployment.write([ProducerRecord(topic, 0, b"BTCUSDT", candle_bytes(at), time_ms)])
    deployment.await_settled(topic, 0)


def reader_of(deployment: Deployment) -> LoggedModels:
    return LoggedModels(deployment.kafka, deployment.topics)


def kinds(page: Any) -> list[tuple[str, str]]:
    return [(one["version"], one["kind"]) for one in page["promotions"]]


def test_an_empty_log_has_no_champion(deployment: Deployment) -> None:
    reader = reader_of(deployment)

    assert not reader.lacks_champion()
    reader.refresh()

    assert reader.lacks_champion()
    assert reader.champion() is None
    assert reader.page()["versions"] == []


def test_versions_promotions_and_rollbacks_show_as_they_come(deployment: Deployment) -> None:
    reader = reader_of(deployment)
    write_candle(deployment, 0)
    first = deployment.release(1)
    assert reader.refresh()
    write_candle(deployment, 1)
    second = deployment.release(2)
    third = deployment.release(3, promote=False)
    write_candle(deployment, 2)
    deployment.registry.rollback()

    assert reader.refresh()
    assert not reader.refresh()

    page = reader.page()
    assert [one["version"] for one in page["versions"]] == [first, second, third]
    assert all(one["published_ms"] > START_MS for one in page["versions"])
    assert kinds(page) == [(first, "promotion"), (second, "promotion"), (first, "rollback")]
    times = [one["time_ms"] for one in page["promotions"]]
    assert times == [START_MS + at * STEP_MS for at in (1, 2, 3)]
    assert page["champion"] == first
    assert not reader.lacks_champion()
    assert reader.champion() == {"version": first, "since_ms": times[-1]}


def test_a_reader_that_starts_later_finds_the_same(deployment: Deployment) -> None:
    write_candle(deployment, 0)
    deployment.release(1)
    deployment.release(2)
    early, late = reader_of(deployment), reader_of(deployment)
    early.refresh()
    deployment.registry.rollback()

    early.refresh()
    late.refresh()

    assert early.page() == late.page()
    assert late.page()["all_promotions"]


def test_foreign_records_are_no_versions_and_no_promotions(deployment: Deployment) -> None:
    first = deployment.release(1)
    for topic in (deployment.topics.models, deployment.topics.klines):
        for key in (None, b"", b"\xff", b"promotion", b"BTCUSDT", b"baskets:x"):
            deployment.write(foreign_records(topic, 0, key))
        deployment.await_settled(topic, 0)

    reader = reader_of(deployment)
    reader.refresh()

    assert [one["version"] for one in reader.page()["versions"]] == [first]
    assert kinds(reader.page()) == [(first, "promotion")]
    assert reader.page()["unusable"] == 4


def test_without_kafka_it_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        LoggedModels(KafkaConnection("127.0.0.1:1"), Topics("5m", 1)).refresh()
