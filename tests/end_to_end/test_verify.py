import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from rich.console import Console

from services.cli.audit.command import AuditReport, verify
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.core.errors import BadSetting, Incompatible
from shared.core.model.numeric_profile import self_test
from shared.core.topics import partition_for
from tests.support.builders import candle_bytes
from tests.support.deployment import GROUPS, Stack, rows
from tests.support.recorded_log import FIRST, RecordedLog, candles, eventful, promotion, recorded

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

THREE = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
AT, SOURCE = 20, 62  # a prediction in the midst of the recorded log, and the offset of its candle
ASIDE = 48  # the offset of the record that is none


def ulstm(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        env={**os.environ, **environ, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
def environ(kafka_bootstrap: str, topic_prefix: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "TOPIC_PREFIX": topic_prefix,
        "SYMBOL_GROUPS": "1",
    }


def honest(*more: tuple[str, bytes]) -> RecordedLog:
    profile = self_test()
    return recorded([*eventful(profile), *more], profiles=(profile,))


def written(environ: Mapping[str, str], log: RecordedLog) -> ServiceSettings:
    settings = ServiceSettings.from_env(environ)
    ensure_topics(settings.kafka_bootstrap_servers, settings.topics)
    log.write(settings.kafka_bootstrap_servers, settings.topics)
    return settings


def verified(settings: ServiceSettings, groups: list[int] | None = None) -> AuditReport:
    return verify(settings, groups, Console(quiet=True))


def test_a_healthy_deployment_verifies(stack: Stack) -> None:
    bad = partition_for("BTCUSDT", GROUPS)
    stack.publish(rows(THREE, 0, 20))
    stack.promote(seed=1)
    stack.predictor()
    stack.publish(rows(THREE, 20, 30))
    stack.publish([("BTCUSDT", b"{nonsense"), ("BTCUSDT", candle_bytes(3))], group=bad)
    stack.promote(seed=2)
    stack.publish(rows(THREE, 30, 40))
    stack.awaits(THREE, 39)

    shown = ulstm(stack.environ, "verify")
    told = ulstm(stack.environ, "verify", "--json", "--group", str(bad))

    assert shown.returncode == 0, shown.stderr
    assert "state digest and every byte" in shown.stdout
    assert told.returncode == 0, told.stderr
    verdict = json.loads(told.stdout)
    assert verdict["agrees"]
    assert [group["group"] for group in verdict["groups"]] == [bad]
    assert verdict["checks"]["dead_letters"] == {"checked": 2, "mismatches": 0}
    whole = verified(stack.settings)
    assert whole.agrees
    assert sum(group.predictions for group in whole.groups) == 60
    assert whole.not_predicted_yet == 0


def test_a_wrong_score_ends_with_one_and_is_shown_with_its_place_and_both_values(
    environ: dict[str, str],
) -> None:
    log = honest()
    settings = written(environ, log.with_prediction(AT, scores__squared_error=0.625))
    right = json.loads(log.predictions[AT].value or b"")["scores"]["squared_error"]

    shown, told = ulstm(environ, "verify"), ulstm(environ, "verify", "--json")

    assert (shown.returncode, told.returncode) == (1, 1)
    assert f"{settings.topics.predictions}, partition 0, offset {AT}:" in shown.stderr
    assert f"scores.squared_error: found 0.625, expected {right}" in shown.stderr
    first = json.loads(told.stdout)["first_mismatches"][0]
    assert (first["topic"], first["partition"], first["offset"]) == (
        settings.topics.predictions,
        0,
        AT,
    )
    assert first["fields"] == {"scores.squared_error": {"found": 0.625, "expected": right}}


@pytest.mark.parametrize(
    ("tamper", "topic", "offset", "field"),
    [
        (
            lambda log: log.with_predictions(lambda old: [*old, old[AT]]),
            "predictions",
            34,
            "source_offset",
        ),
        (
            lambda log: log.with_predictions(lambda old: [*old[:AT], *old[AT + 1 :]]),
            "klines",
            SOURCE,
            "prediction",
        ),
        (
            lambda log: log.with_prediction(AT, state_digest="0" * 64),
            "predictions",
            AT,
            "state_digest",
        ),
        (lambda log: log.with_letters(lambda old: old[1:]), "klines", ASIDE, "dead letter"),
    ],
    ids=["published twice", "left out", "another digest", "a dead letter lost"],
)
def test_what_was_tampered_with_is_named(
    environ: dict[str, str],
    tamper: Callable[[RecordedLog], RecordedLog],
    topic: str,
    offset: int,
    field: str,
) -> None:
    verdict = verified(written(environ, tamper(honest())))

    assert verdict.mismatches == 1
    mismatch = verdict.first[0]
    assert (mismatch.topic, mismatch.offset) == (f"{environ['TOPIC_PREFIX']}{topic}.5m", offset)
    assert [d.name for d in mismatch.fault.differences] == [field]


def test_a_promotion_that_names_another_digest_is_shown_with_both(environ: dict[str, str]) -> None:
    settings = written(
        environ, honest(promotion(FIRST, self_test(), sha256="0" * 64), *candles(36, 38))
    )

    verdict = verified(settings)

    assert verdict.mismatches == 1
    assert (
        str(verdict.first[0]).splitlines()[-1]
        == f"  bundle_sha256: found {'0' * 64}, expected {FIRST.sha256}"
    )


def test_predictions_of_another_profile_are_spoken_of_and_are_no_mismatch(
    environ: dict[str, str],
) -> None:
    written(environ, recorded(eventful("2-next"), profiles=("2-next",)))

    shown = ulstm(environ, "verify")

    assert shown.returncode == 0, shown.stderr
    assert (
        "34 predictions of numeric profile 2-next were not derived again: run the version"
        in shown.stderr
    )


def test_a_topic_that_has_lost_its_beginning_is_refused(environ: dict[str, str]) -> None:
    settings = written(environ, honest())
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for deleted in admin.delete_records([TopicPartition(settings.topics.klines, 0, 5)]).values():
        deleted.result(10)

    with pytest.raises(Incompatible, match="begins at offset 5"):
        verified(settings)


def test_topics_that_are_not_there_are_refused(environ: dict[str, str]) -> None:
    with pytest.raises(Incompatible, match="TOPIC_PREFIX"):
        verified(ServiceSettings.from_env(environ))


def test_a_symbol_group_that_is_not_there_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(BadSetting, match="groups 0 to 0"):
        verified(ServiceSettings.from_env(environ), [1])
