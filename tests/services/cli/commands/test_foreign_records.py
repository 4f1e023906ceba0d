"""No record of a foreign program ends a command with a traceback: it is named, or passed over."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from services.cli.audit.verify import verify
from services.cli.commands.dead_letters import app as dead_letters
from services.cli.commands.import_candles import import_command
from services.cli.commands.models import app as models
from services.cli.commands.predict import predict_command
from services.cli.commands.replay import replay_command
from services.cli.commands.watch import watch_command
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord
from shared.core.audit.violation import Check
from shared.core.errors import BadInput, Unknown
from shared.core.model.numeric_profile import self_test
from tests.services.cli.foreign_records import FOREIGN_VALUES, foreign_records
from tests.support.builders import START_MS, STEP_MS, a_card
from tests.support.deployment import Deployment
from tests.support.recorded_log import FIRST, RecordedLog, eventful_klines, record_log

pytestmark = pytest.mark.integration

SYMBOL = "BTCUSDT"


def honest() -> RecordedLog:
    profile = self_test()
    return record_log(eventful_klines(profile), profiles=(profile,))


@pytest.fixture
def deployment(
    kafka: KafkaConnection, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Iterator[Deployment]:
    """Yield a deployment with a log of one partition."""
    with Deployment(kafka, redis_url, topic_prefix, tmp_path, partitions=1) as deployment:
        honest().write(deployment.kafka, deployment.topics)
        topics = deployment.topics
        for topic in (topics.models, topics.klines, topics.predictions, topics.dead_letters):
            deployment.await_settled(topic, 0)
        yield deployment


def add_foreign(deployment: Deployment, topic: str, key: bytes | None = SYMBOL.encode()) -> None:
    deployment.write(foreign_records(topic, 0, key))
    deployment.await_settled(topic, 0)


def run(deployment: Deployment, command: object, *arguments: str) -> Result:
    app = command
    if not isinstance(app, typer.Typer):
        app = typer.Typer()
        app.command()(command)  # type: ignore[type-var]
    return CliRunner().invoke(app, arguments, obj=deployment.environ, env={"COLUMNS": "200"})


def test_predict_passes_over_them_and_warns(deployment: Deployment) -> None:
    before = run(deployment, predict_command, SYMBOL, "--json")
    add_foreign(deployment, deployment.topics.predictions)

    after = run(deployment, predict_command, SYMBOL, "--json")

    assert after.exit_code == 0, after.exception
    assert json.loads(after.stdout) == json.loads(before.stdout)
    assert f"{deployment.topics.predictions}, partition 0, offset" in after.stderr


def test_predict_passes_over_a_prediction_of_another_symbol(deployment: Deployment) -> None:
    before = json.loads(run(deployment, predict_command, SYMBOL, "--json").stdout)
    value = next(record.value for record in honest().predictions if record.key == b"ETHUSDT")
    topic = deployment.topics.predictions
    deployment.write([ProducerRecord(topic, 0, SYMBOL.encode(), value, START_MS)])
    deployment.await_settled(topic, 0)

    after = run(deployment, predict_command, SYMBOL, "--json")

    assert json.loads(after.stdout) == before
    assert "wrong_key" in after.stderr


def test_predict_shows_brackets_and_control_characters_as_they_are(deployment: Deployment) -> None:
    changed = honest().with_prediction(0, interval="[/b]\x1b[2J", numeric_profile="[/b]")
    topic, value = deployment.topics.predictions, changed.predictions[0].value
    deployment.write([ProducerRecord(topic, 0, SYMBOL.encode(), value, START_MS)])
    deployment.await_settled(topic, 0)

    shown = run(deployment, predict_command, SYMBOL)
    replayed = run(deployment, replay_command)

    assert shown.exit_code == 0, shown.exception
    assert "[/b]\\x1b[2J" in shown.stdout
    assert "numeric profile [/b]" in replayed.stderr


def test_predict_of_a_symbol_with_foreign_records_alone_is_unknown(deployment: Deployment) -> None:
    add_foreign(deployment, deployment.topics.predictions, b"NONEUSDT")

    result = run(deployment, predict_command, "NONEUSDT")

    assert isinstance(result.exception, Unknown)
    assert "WARNING" in result.stderr


def test_watch_shows_the_predictions_and_warns(deployment: Deployment) -> None:
    add_foreign(deployment, deployment.topics.predictions)

    result = run(deployment, watch_command, "--for", "1")

    assert result.exit_code == 0, result.exception
    assert SYMBOL in result.stdout
    there_already = 1  # on klines
    assert f"... and {len(FOREIGN_VALUES) + there_already - 5} more" in result.stderr


def test_replay_passes_over_them_and_counts_them(deployment: Deployment) -> None:
    add_foreign(deployment, deployment.topics.predictions)

    result = run(deployment, replay_command, "--json")

    (replayed,) = json.loads(result.stdout)
    assert replayed["sha256"] == replayed["published_sha256"]
    assert replayed["unreadable"] == len(FOREIGN_VALUES)
    assert replayed["same"]
    assert result.exit_code == 0, result.exception
    assert f"{deployment.topics.predictions}, partition 0, offset" in result.stderr


def test_replay_takes_foreign_klines_for_what_readers_reject(deployment: Deployment) -> None:
    add_foreign(deployment, deployment.topics.klines)

    result = run(deployment, replay_command, "--json")

    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)[0]["same"]


def test_verify_counts_them_on_predictions_and_names_one_of_another_schema(
    deployment: Deployment,
) -> None:
    add_foreign(deployment, deployment.topics.predictions)

    report = verify(deployment.settings, Console(quiet=True))

    (mismatch,) = report.first
    assert mismatch.violation.check is Check.PLACE
    assert "schema" in mismatch.violation.message
    (part,) = report.partitions
    assert part.unreadable.count == len(FOREIGN_VALUES) - 1


@pytest.mark.parametrize("topic", ["klines", "dead_letters"])
def test_verify_passes_over_them_on_other_topics(deployment: Deployment, topic: str) -> None:
    add_foreign(deployment, getattr(deployment.topics, topic))

    assert verify(deployment.settings, Console(quiet=True)).agrees


def test_dead_letters_lists_them_and_refuses_to_redrive_them(deployment: Deployment) -> None:
    add_foreign(deployment, deployment.topics.dead_letters, None)

    listed = run(deployment, dead_letters, "list", "--json")
    redriven = run(deployment, dead_letters, "redrive", "--all", "--yes", "--json")

    assert listed.exit_code == redriven.exit_code == 0
    assert json.loads(listed.stdout)["reasons"][""] == len(FOREIGN_VALUES)
    rows = json.loads(redriven.stdout)["dead_letters"]
    statuses = Counter(row["status"] for row in rows)
    # Besides: a record that is none, and a candle that came twice.
    assert statuses == {"refused": len(FOREIGN_VALUES) + 1, "in log": 1}


@pytest.mark.parametrize("topic", ["models", "klines", "predictions"])
def test_models_lists_the_versions_that_are_there(deployment: Deployment, topic: str) -> None:
    before = json.loads(run(deployment, models, "list", "--json").stdout)
    for key in (None, b"", b"\xff", b"promotion", SYMBOL.encode()):
        add_foreign(deployment, getattr(deployment.topics, topic), key)

    listed = run(deployment, models, "list", "--json")

    assert listed.exit_code == 0, listed.exception
    assert json.loads(listed.stdout) == before


def test_models_shows_no_foreign_record_as_a_version(deployment: Deployment) -> None:
    add_foreign(deployment, deployment.topics.models)

    result = run(deployment, models, "show", SYMBOL)

    assert isinstance(result.exception, BadInput)
    assert run(deployment, models, "show", FIRST.version).exit_code == 0


def test_import_goes_on_after_them(deployment: Deployment, tmp_path: Path) -> None:
    add_foreign(deployment, deployment.topics.klines)
    opens = START_MS + 36 * STEP_MS
    row = f"{opens},100.0,101.0,99.5,100.5,12.5,{opens + STEP_MS - 1},1250.0,42,6.25,625.0,0\n"
    (tmp_path / "BTCUSDT-5m-2025-01.csv").write_text(row)

    result = run(deployment, import_command, str(tmp_path), "--json")

    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["candles"] == 1


@pytest.mark.parametrize(
    "scores",
    [
        {"forecasts": [1], "decision": "yes"},
        {"forecasts": {"challenger": "good"}, "decision": {}},
        {"forecasts": {"challenger": {"skill": {"value": "0.5"}}}},
    ],
)
def test_models_shows_a_card_with_foreign_scores(
    deployment: Deployment, scores: dict[str, object]
) -> None:
    training = {"symbols": 3, "note": "[/b] \x1b[2J"}
    version = deployment.release(7, replace(a_card(), scores=scores, training=training))

    listed = run(deployment, models, "list", "--json")
    shown = run(deployment, models, "show", version)

    assert listed.exit_code == shown.exit_code == 0
    assert json.loads(listed.stdout)[-1]["skill"] is None
    assert "note [/b] \\x1b[2J" in shown.stdout
