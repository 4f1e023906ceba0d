import json
from collections.abc import Mapping

import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from shared.adapters.kafka.admin import partition_counts
from shared.adapters.kafka.connection import KafkaConnection

PREFIX = {"TOPIC_PREFIX": "live."}


def output_of(*words: str, env: Mapping[str, str] = PREFIX) -> str:
    done = CliRunner().invoke(app, ["topics", *words], env=dict(env))
    assert done.exception is None
    return done.stdout


def test_rights_are_printed_as_commands_of_kafkas_own_tool() -> None:
    first, *_ = output_of("rights", "dashboard", "--commands").splitlines()

    assert first == (
        "kafka-acls --bootstrap-server 127.0.0.1:9092 --add --allow-principal User:dashboard"
        " --operation Read --topic live.klines.5m --resource-pattern-type literal"
    )


def test_a_consumer_gets_its_own_group() -> None:
    words = ("rights", "consumer", "--group", "mine", "--principal", "User:me", "--json")

    rights = json.loads(output_of(*words))

    assert {one["principal"] for one in rights} == {"User:me"}
    assert [one["name"] for one in rights] == ["live.predictions.5m", "mine"]


def test_every_service_is_in_the_table() -> None:
    table = output_of("rights")

    assert [name for name in ("producer", "predictor", "trainer") if name not in table] == []


@pytest.mark.integration
def test_missing_topics_are_created_once(kafka: KafkaConnection, topic_prefix: str) -> None:
    env = {"KAFKA_BOOTSTRAP_SERVERS": str(kafka), "TOPIC_PREFIX": topic_prefix}

    names = json.loads(output_of("create", "--json", env=env))["topics"]

    assert json.loads(output_of("create", "--json", env=env))["topics"] == names
    assert set(names) <= set(partition_counts(kafka))
