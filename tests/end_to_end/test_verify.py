import json
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from rich.console import Console

from services.cli.audit.options import AuditOptions
from services.cli.audit.report import AuditReport
from services.cli.audit.verify import verify
from shared.adapters.env_settings import PredictorGroupSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.connection import KafkaConnection
from shared.core.errors import BadSetting, Incompatible
from shared.core.model.numeric_profile import self_test
from shared.core.topics import partition_for
from tests.support.builders import candle_bytes, interleaved_candles
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.recorded_log import (
    FIRST,
    SECOND,
    RecordedLog,
    candles,
    eventful_klines,
    promotion,
    record_log,
)

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

THREE = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
AT, SOURCE = 20, 62  # a prediction in the midst of the recorded log, and the offset of its candle
REJECTED = 48  # the offset of the record that is none


@pytest.fixture
def one_partition(kafka: KafkaConnection, topic_prefix: str, tmp_path: Path) -> Deployment:
    """Return a deployment whose topics do not exist yet."""
    return Deployment(kafka, "redis://127.0.0.1:1/0", topic_prefix, tmp_path, partitions=1)


def honest(*more: tuple[str, bytes]) -> RecordedLog:
    profile = self_test()
    return record_log([*eventful_klines(profile), *more], profiles=(profile,))


def write_log(deployment: Deployment, log: RecordedLog) -> PredictorGroupSettings:
    ensure_topics(deployment.kafka, deployment.topics)
    log.write(deployment.kafka, deployment.topics)
    return deployment.settings


def run_audit(settings: PredictorGroupSettings, partitions: list[int] | None = None) -> AuditReport:
    return verify(settings, Console(quiet=True), AuditOptions(partitions))


def test_a_healthy_deployment_verifies(deployment: Deployment) -> None:
    bad = partition_for("BTCUSDT", PARTITIONS)
    deployment.publish(interleaved_candles(THREE, 0, 20))
    deployment.release(seed=1)
    deployment.start_predictor()
    deployment.publish(interleaved_candles(THREE, 20, 30))
    deployment.publish([("BTCUSDT", b"{nonsense"), ("BTCUSDT", candle_bytes(3))], partition=bad)
    deployment.release(seed=2)
    deployment.publish(interleaved_candles(THREE, 30, 40))
    deployment.await_predictions(THREE, 39)

    shown = deployment.ulstm("verify")
    as_json = deployment.ulstm("verify", "--json", "--partition", str(bad))

    assert shown.returncode == 0, shown.stderr
    assert "state digest and every byte" in shown.stdout
    assert as_json.returncode == 0, as_json.stderr
    report = json.loads(as_json.stdout)
    assert report["agrees"]
    assert [one["partition"] for one in report["partitions"]] == [bad]
    assert report["checks"]["dead_letters"] == {"checked": 2, "mismatches": 0}
    whole = run_audit(deployment.settings)
    assert whole.agrees
    assert sum(one.predictions for one in whole.partitions) == 60
    assert whole.not_predicted_yet == 0


def test_a_wrong_score_ends_with_one_and_is_shown_with_its_place_and_both_values(
    one_partition: Deployment,
) -> None:
    log = honest()
    settings = write_log(one_partition, log.with_prediction(AT, scores__squared_error=0.625))
    right = json.loads(log.predictions[AT].value or b"")["scores"]["squared_error"]

    shown, as_json = one_partition.ulstm("verify"), one_partition.ulstm("verify", "--json")

    assert (shown.returncode, as_json.returncode) == (1, 1)
    assert f"{settings.topics.predictions}, partition 0, offset {AT}:" in shown.stderr
    assert f"scores.squared_error: found 0.625, expected {right}" in shown.stderr
    first = json.loads(as_json.stdout)["first_mismatches"][0]
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
        (lambda log: log.with_dead_letters(lambda old: old[1:]), "klines", REJECTED, "dead letter"),
    ],
    ids=["published twice", "left out", "another digest", "a dead letter lost"],
)
def test_a_tampered_record_is_named(
    one_partition: Deployment,
    tamper: Callable[[RecordedLog], RecordedLog],
    topic: str,
    offset: int,
    field: str,
) -> None:
    report = run_audit(write_log(one_partition, tamper(honest())))

    assert report.mismatches == 1
    mismatch = report.first[0]
    assert (mismatch.topic, mismatch.offset) == (f"{one_partition.prefix}{topic}.5m", offset)
    assert [d.name for d in mismatch.violation.differences] == [field]


def test_a_promotion_that_predictors_rejected_is_accepted(one_partition: Deployment) -> None:
    settings = write_log(
        one_partition, honest(promotion(FIRST, self_test(), sha256="0" * 64), *candles(36, 38))
    )

    report = run_audit(settings)

    assert report.agrees, report.first
    assert sum(part.rejected for part in report.partitions) == 3


def commit(settings: PredictorGroupSettings, offset: int) -> None:
    """Commit an offset as the predictors' group."""
    group = {"group.id": settings.predictor_group, "enable.auto.commit": False}
    consumer = Consumer(settings.kafka.client_config(group))
    consumer.commit(offsets=[TopicPartition(settings.topics.klines, 0, offset)], asynchronous=False)
    consumer.close()


def test_the_committed_offset_tells_lost_predictions_from_late_ones(
    one_partition: Deployment,
) -> None:
    log = honest().with_predictions(lambda _: [])
    settings = write_log(one_partition, log)

    unknown, late = one_partition.ulstm("verify"), run_audit(settings)
    commit(settings, len(log.klines))
    lost = one_partition.ulstm("verify")

    assert unknown.returncode == 0, unknown.stderr
    assert "has committed no offset" in unknown.stderr
    assert late.not_predicted_yet == 34
    assert lost.returncode == 1
    assert "34 mismatches; the first:" in lost.stderr
    assert "has no prediction of the candle" in lost.stderr


def test_klines_that_end_before_the_committed_offset_are_refused(
    one_partition: Deployment,
) -> None:
    settings = write_log(one_partition, honest())
    commit(settings, 1_000)

    with pytest.raises(Incompatible, match="the predictors have read it up to 1000"):
        run_audit(settings)


def test_a_wrong_move_of_the_market_ends_with_one_and_is_shown(deployment: Deployment) -> None:
    names = [f"C{number}USDT" for number in range(5)]
    market = {"symbols": 5, "change_ppb": 0}
    wrong = {"symbols": 5, "change_ppb": 900_000_000}
    flat = {"open": "100.5", "high": "100.6", "low": "100.4"}
    deployment.publish(
        [
            (name, candle_bytes(at, name, market=wrong if (name, at) == place else market, **flat))
            for place in [("C3USDT", 2)]
            for at in range(4)
            for name in names
        ]
    )

    audited = deployment.ulstm("verify", "--json")

    report = json.loads(audited.stdout)
    assert audited.returncode == 1
    assert report["checks"]["market"] == {"checked": 15, "mismatches": 1}
    assert report["market"]["candles"] == 20
    (mismatch,) = report["first_mismatches"]
    assert mismatch["fields"]["change"]["found"] == 0.9


def test_predictions_of_another_profile_end_with_one_until_they_are_accepted(
    one_partition: Deployment,
) -> None:
    write_log(one_partition, record_log(eventful_klines("2-next"), profiles=("2-next",)))

    shown = one_partition.ulstm("verify")
    accepted = one_partition.ulstm("verify", "--accept-profile", "2-next")

    assert shown.returncode == 1
    assert "34 predictions of numeric profile 2-next cannot be derived" in shown.stderr
    assert "--accept-profile 2-next" in shown.stderr
    assert accepted.returncode == 0, accepted.stderr


def test_from_a_time_on_begins_at_the_promotion_in_force(one_partition: Deployment) -> None:
    log = honest()
    write_log(one_partition, log)
    last_ms = json.loads(log.predictions[-1].value or b"")["open_time_ms"]

    shown = one_partition.ulstm("verify", "--from", str(last_ms))

    at = next(i for i, r in enumerate(log.klines) if SECOND.version.encode() in (r.value or b""))
    assert shown.returncode == 0, shown.stderr
    assert "partition 0 begins at the promotion of offset" in shown.stdout
    assert f"{at} " in shown.stdout
    assert "follow from candles before those" not in shown.stderr


def test_quick_checks_all_and_folds_a_sample(one_partition: Deployment) -> None:
    write_log(one_partition, honest().with_prediction(AT, steps=77))

    quick = one_partition.ulstm("verify", "--quick", "--seed", "7", "--json")

    report = json.loads(quick.stdout)
    assert quick.returncode == 1
    assert report["checks"]["steps"]["checked"] == 34
    assert report["checks"]["bytes"]["checked"] < 34


def test_a_topic_that_has_lost_its_beginning_is_refused(one_partition: Deployment) -> None:
    settings = write_log(one_partition, honest())
    admin = AdminClient(settings.kafka.client_config())
    for deleted in admin.delete_records([TopicPartition(settings.topics.klines, 0, 5)]).values():
        deleted.result(10)

    with pytest.raises(Incompatible, match="begins at offset 5: the records"):
        run_audit(settings)


def test_topics_that_are_not_there_are_refused(one_partition: Deployment) -> None:
    with pytest.raises(Incompatible, match="TOPIC_PREFIX"):
        run_audit(one_partition.settings)


def test_a_partition_that_is_not_there_is_refused(one_partition: Deployment) -> None:
    with pytest.raises(BadSetting, match="partitions 0 to 0"):
        run_audit(one_partition.settings, [1])
