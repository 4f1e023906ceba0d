"""`ulstm dead-letters`: what it shows, what it redrives, and that it does so once."""

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from services.cli.audit.verify import verify
from services.cli.commands.dead_letters import app
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import Fenced
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.dead_letters import DeadLetter, dead_letter_headers
from shared.core.errors import BadSetting, Incompatible, Unknown
from shared.core.topics import partition_for
from shared.log.kline_writer import producer_transactional_id
from tests.support.builders import START_MS, STEP_MS, candle_bytes
from tests.support.deployment import Deployment

PARTITIONS = 2
SYMBOL = "BTCUSDT"
PARTITION = partition_for(SYMBOL, PARTITIONS)
WRONG = 1 - PARTITION


class RedriveDeployment(Deployment):
    def place(self, offset: int, partition: int = WRONG) -> str:
        return f"{self.topics.klines}/{partition}/{offset}"

    def write_settled(self, *records: ProducerRecord) -> None:
        """Write records and wait until they can be read."""
        self.write(records)
        for topic, partition in {(record.topic, record.partition) for record in records}:
            self.await_settled(topic, partition)

    def publish_values(self, values: Sequence[bytes], partition: int = PARTITION) -> None:
        """Write records of one symbol, whose times are the closes of the first candles."""
        topic, key = self.topics.klines, SYMBOL.encode()
        closes = (START_MS + (at + 1) * STEP_MS - 1 for at in range(len(values)))
        self.write_settled(
            *(
                ProducerRecord(topic, partition, key, value, ms)
                for value, ms in zip(values, closes, strict=True)
            )
        )

    def reject(
        self, values: Sequence[bytes], reason: str = "wrong_group", partition: int = WRONG
    ) -> None:
        """Write records as a foreign program would, and their dead letters as a predictor would."""
        self.publish_values(values, partition)
        self.write_dead_letters(
            *(
                DeadLetter(
                    self.topics.klines,
                    partition,
                    offset,
                    SYMBOL.encode(),
                    value,
                    reason,
                    f"why {offset}",
                )
                for offset, value in enumerate(values)
            )
        )

    def write_dead_letters(self, *dead_letters: DeadLetter) -> None:
        self.write_settled(
            *(
                ProducerRecord(
                    self.topics.dead_letters,
                    0,
                    one.key,
                    one.value,
                    START_MS,
                    dead_letter_headers(one),
                )
                for one in dead_letters
            )
        )

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, arguments, obj=self.environ)

    def run_json(self, *arguments: str) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exception is None, result.exception
        return json.loads(result.stdout)

    def klines(self, partition: int = PARTITION) -> list[ConsumerRecord]:
        self.await_settled(self.topics.klines, partition)
        return self.read(self.topics.klines, [partition])


def a_dead_letter(offset: int, key: bytes = SYMBOL.encode()) -> DeadLetter:
    return DeadLetter("klines.5m", WRONG, offset, key, b"x", "wrong_group", "as it was")


@pytest.fixture
def deployment(
    kafka: KafkaConnection, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Iterator[RedriveDeployment]:
    with RedriveDeployment(
        kafka, redis_url, topic_prefix, tmp_path, partitions=PARTITIONS
    ) as deployment:
        yield deployment


@pytest.mark.integration
def test_dead_letters_are_listed_newest_last_with_place_reason_and_first_bytes(
    deployment: RedriveDeployment,
) -> None:
    deployment.reject([b"{first", b"{second"], "not_json")

    shown = deployment.run("list").stdout.splitlines()

    assert shown == [
        f"2025-01-01 00:00:00  {deployment.place(0)}  BTCUSDT  not_json",
        "    why 0",
        "    {first",
        f"2025-01-01 00:00:00  {deployment.place(1)}  BTCUSDT  not_json",
        "    why 1",
        "    {second",
        "2 dead letters: not_json 2",
    ]


@pytest.mark.integration
def test_a_program_gets_the_original_bytes_whole(deployment: RedriveDeployment) -> None:
    value = bytes(range(256)) * 3
    deployment.reject([value])

    (listed,) = deployment.run_json("list")["dead_letters"]

    assert base64.b64decode(listed["value_base64"]) == value
    assert (listed["place"], listed["time_ms"], listed["key"]) == (
        deployment.place(0),
        START_MS,
        SYMBOL,
    )


@pytest.mark.integration
def test_no_byte_of_a_dead_letter_reaches_the_terminal_as_a_command(
    deployment: RedriveDeployment,
) -> None:
    evil = "\x1b]0;t\x07\u202e\x9b2J\n"
    deployment.write_dead_letters(
        DeadLetter(evil, 0, 1, evil.encode(), evil.encode() + b"\xff\x80" * 500, evil, evil)
    )

    shown = deployment.run("list").stdout

    assert all(line.isprintable() for line in shown.splitlines())
    assert len(shown.splitlines()) == 4
    assert "\\x1b]0;t" in shown
    assert "\\xff" in shown


@pytest.mark.integration
def test_a_list_is_narrowed_by_reason_and_key_and_counts_what_it_does_not_show(
    deployment: RedriveDeployment,
) -> None:
    deployment.write_dead_letters(
        *(a_dead_letter(at) for at in range(5)), a_dead_letter(9, key=b"ETHUSDT")
    )

    narrowed = deployment.run(
        "list", "--symbol", "btcusdt", "--reason", "wrong_group", "--limit", "2"
    ).stdout

    assert narrowed.splitlines()[-1] == "5 dead letters, the newest 2 shown: wrong_group 5"
    assert [
        dead_letter["offset"]
        for dead_letter in deployment.run_json("list", "--limit", "2")["dead_letters"]
    ] == [
        4,
        9,
    ]
    assert "no dead letters of these" in deployment.run("list", "--reason", "other").stdout


@pytest.mark.integration
def test_an_empty_topic_is_named(deployment: RedriveDeployment) -> None:
    assert deployment.run("list").stdout == f"no dead letters on {deployment.topics.dead_letters}\n"
    assert deployment.run("redrive", "--all").stdout == "no dead letters are selected\n"
    assert deployment.run_json("list") == {"dead_letters": [], "reasons": {}}


@pytest.mark.integration
def test_without_yes_nothing_is_written(deployment: RedriveDeployment) -> None:
    deployment.reject([candle_bytes(0)])

    result = deployment.run("redrive", "--all")

    assert result.exit_code == 0
    assert "1 can be redriven" in result.stdout
    assert deployment.klines() == []


@pytest.mark.integration
def test_candles_in_a_wrong_partition_are_redriven_into_their_own_once_and_the_log_verifies(
    deployment: RedriveDeployment,
) -> None:
    log = [candle_bytes(at) for at in (0, 1, 2, 0)]
    deployment.publish_values(log)
    deployment.write_dead_letters(
        DeadLetter(
            deployment.topics.klines, PARTITION, 3, SYMBOL.encode(), log[3], "duplicate", "stale"
        )
    )
    deployment.reject([candle_bytes(at) for at in (5, 4, 3, 2, 8)])

    first = deployment.run_json("redrive", "--all", "--yes")
    second = deployment.run_json("redrive", "--reason", "wrong_group", "--yes")

    statuses = {
        row["offset"]: row["status"] for row in first["dead_letters"] if row["partition"] == WRONG
    }
    assert statuses == {0: "ready", 1: "ready", 2: "ready", 3: "in log", 4: "refused"}
    assert [row["status"] for row in second["dead_letters"]].count("in log") == 4
    records = deployment.klines()
    assert [record.value for record in records] == [*log, *(candle_bytes(at) for at in (3, 4, 5))]
    assert [(record.headers or {}).get("replayed-from") for record in records[4:]] == [
        deployment.place(at).encode() for at in (2, 1, 0)
    ]
    report = verify(deployment.settings, Console(quiet=True))
    assert report.agrees, report.first


@pytest.mark.integration
def test_a_named_dead_letter_that_cannot_be_redriven_ends_with_one_and_the_others_are_redriven(
    deployment: RedriveDeployment,
) -> None:
    deployment.reject([candle_bytes(0), b"{nonsense"])

    result = deployment.run("redrive", deployment.place(0), deployment.place(1), "--yes")

    assert result.exit_code == 1
    assert "not_json" in result.stdout
    assert "1 redriven, 0 in the log already, 1 refused" in result.stdout
    assert [record.value for record in deployment.klines()] == [candle_bytes(0)]


@pytest.mark.integration
def test_a_producer_that_runs_is_fenced_before_the_log_is_read(
    deployment: RedriveDeployment,
) -> None:
    deployment.reject([candle_bytes(0)])
    producer = TransactionalProducer(
        deployment.settings.kafka, producer_transactional_id(deployment.topics)
    )

    deployment.run_json("redrive", "--all", "--yes")

    with pytest.raises(Fenced):
        producer.write(
            [
                ProducerRecord(
                    deployment.topics.klines, PARTITION, SYMBOL.encode(), candle_bytes(0), START_MS
                )
            ]
        )
    producer.close()


@pytest.mark.integration
def test_a_place_without_a_dead_letter_is_unknown(deployment: RedriveDeployment) -> None:
    assert isinstance(deployment.run("redrive", deployment.place(5)).exception, Unknown)


@pytest.mark.integration
def test_a_deployment_that_is_not_there_is_refused_with_the_settings_to_look_at(
    kafka: KafkaConnection,
) -> None:
    environ = {"KAFKA_BOOTSTRAP_SERVERS": str(kafka), "TOPIC_PREFIX": "nowhere."}

    error = CliRunner().invoke(app, ["list"], obj=environ).exception

    assert isinstance(error, Incompatible)
    assert f"Kafka at {kafka} has no topic nowhere.dead-letters" in str(error)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--all", "--reason", "not_json"], ["klines.5m/0/1", "--all"], ["4711"], ["klines.5m/0"]],
)
def test_wrong_use_is_refused_before_anything_is_read(arguments: list[str]) -> None:
    assert isinstance(
        CliRunner().invoke(app, ["redrive", *arguments], obj={}).exception, BadSetting
    )
