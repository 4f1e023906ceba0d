import pytest

from shared.adapters.bundle_codec import version_of
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.kline_messages import PromotionMessage
from shared.adapters.schemas.klines import encode_record
from shared.core.model.card import sha256_hex
from shared.core.model.numeric_profile import self_test
from shared.core.topics import partition_for
from tests.support.builders import (
    START_MS,
    STEP_MS,
    a_card,
    bundle_bytes,
    candle_bytes,
    interleaved_candles,
)
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
PARTITION = partition_for("BTCUSDT", PARTITIONS)


def reasons(deployment: Deployment) -> list[str]:
    return [(record.headers or {})["reason"].decode() for record in deployment.dead_letters()]


def test_each_bad_record_becomes_a_dead_letter_and_the_next_good_one_is_predicted(
    deployment: Deployment,
) -> None:
    bad = {
        "not_json": b"{nonsense",
        "bad_size": b"x" * 5000,
        "unknown_schema": candle_bytes(21).replace(b'"schema":1', b'"schema":9'),
        "bad_field": candle_bytes(21).replace(b'"100.5"', b'"NaN"'),
        "off_grid": candle_bytes(21, open_time_ms=START_MS + 21 * STEP_MS + 1),
        "duplicate": interleaved_candles(["BTCUSDT"], 20, 21)[0][1],
        "contradiction": candle_bytes(20, close="999.0"),
        "out_of_order": candle_bytes(3),
    }
    nested = b"[" * 2000 + b"]" * 2000
    deployment.publish(interleaved_candles(SYMBOLS, 0, 20))
    deployment.release()
    deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 20, 21))
    deployment.publish(
        [("BTCUSDT", value) for value in [*bad.values(), nested]], partition=PARTITION
    )
    deployment.publish(interleaved_candles(SYMBOLS, 21, 23))

    found = deployment.await_predictions(SYMBOLS, 22)

    assert reasons(deployment) == [*bad, "not_json"]
    assert [r.value for r in deployment.dead_letters()] == [*bad.values(), nested]
    assert [p.steps for p in found["BTCUSDT"]] == [0, 1, 2]
    assert deployment.replay_agrees()


def test_a_bundle_that_is_none_leaves_the_old_model_in_place(deployment: Deployment) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 20))
    first = deployment.release()
    deployment.start_predictor()
    good, card = bundle_bytes(seed=5), a_card()
    broken = {
        "cut": good[:-3],
        "wild": good[:-4] + b"\x00\x00\xc0\x7f",
        "other": b"PK\x03\x04" + good,
        "digest": good,
    }
    for name, data in broken.items():
        publish_bundle(deployment, f"{version_of(card, data)}-{name}", data, sha256="0" * 64)
    deployment.publish(interleaved_candles(SYMBOLS, 20, 25))

    found = deployment.await_predictions(SYMBOLS, 24)

    assert {p.model_version for p in found["BTCUSDT"]} == {first}
    eventually(lambda: len(reasons(deployment)) == len(broken) * PARTITIONS)
    assert set(reasons(deployment)) == {"bad_bundle", "wrong_digest"}
    assert deployment.replay_agrees()


def test_a_promotion_waits_for_its_bundle_and_says_so(deployment: Deployment) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 20))
    first = deployment.release()
    replica = deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 20, 22))
    deployment.await_predictions(SYMBOLS, 21)
    data = bundle_bytes(seed=9)
    version = version_of(a_card(), data)
    promotion = PromotionMessage(
        type="promotion",
        model_version=version,
        bundle_sha256=sha256_hex(data),
        numeric_profile=self_test(),
    )
    for partition in range(PARTITIONS):
        deployment.publish([("promotion", encode_record(promotion))], partition)
    deployment.publish(interleaved_candles(SYMBOLS, 22, 24))
    eventually(lambda: replica.get("/health/ready")[0] == 503)
    assert version in replica.get("/health/ready")[1]

    publish_bundle(deployment, version, data, promote=False)

    found = deployment.await_predictions(SYMBOLS, 23)
    assert [p.model_version for p in found["BTCUSDT"]][-3:] == [first, version, version]
    eventually(lambda: replica.get("/health/ready")[0] == 200)
    assert deployment.replay_agrees()


def test_a_promotion_whose_version_never_comes_is_withdrawn_and_the_old_model_goes_on(
    deployment: Deployment,
) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 20))
    first = deployment.release()
    replica = deployment.start_predictor()
    promotion = PromotionMessage(
        type="promotion",
        model_version="never-came",
        bundle_sha256="0" * 64,
        numeric_profile=self_test(),
    )
    deployment.publish([("promotion", encode_record(promotion))], PARTITION)
    deployment.publish(interleaved_candles(SYMBOLS, 20, 23))
    others = [each for each in SYMBOLS if partition_for(each, PARTITIONS) != PARTITION]
    deployment.await_predictions(others, 22)
    held = f'ulstm_predictor_held_groups{{partition="{PARTITION}"}}'
    eventually(lambda: replica.metric(held) == 1)
    assert "never-came" in replica.get("/health/ready")[1]

    deployment.registry.withdraw("never-came", "promoted by mistake")

    found = deployment.await_predictions(SYMBOLS, 22)
    assert {p.model_version for p in found["BTCUSDT"]} == {first}
    eventually(lambda: reasons(deployment) == ["withdrawn"])
    eventually(lambda: replica.get("/health/ready")[0] == 200)
    assert deployment.replay_agrees()


def publish_bundle(
    deployment: Deployment, version: str, data: bytes, sha256: str = "", *, promote: bool = True
) -> None:
    """Write a bundle that the registry would refuse, as another program might."""
    topics = deployment.topics
    records = [ProducerRecord(topics.models, 0, version.encode(), data, START_MS)]
    if promote:
        promotion = PromotionMessage(
            type="promotion",
            model_version=version,
            bundle_sha256=sha256,
            numeric_profile=self_test(),
        )
        value = encode_record(promotion)
        records += [
            ProducerRecord(topics.klines, partition, b"promotion", value, START_MS)
            for partition in range(PARTITIONS)
        ]
    deployment.write(records)
