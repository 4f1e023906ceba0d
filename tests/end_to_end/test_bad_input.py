import pytest

from shared.adapters.bundle_codec import version_of
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.schemas import PromotionMessage, encode_record
from shared.core.model.card import sha256_hex
from shared.core.topics import partition_for
from tests.support.builders import START_MS, STEP_MS, a_card, bundle_bytes, candle_bytes
from tests.support.deployment import GROUPS, Stack, rows
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
GROUP = partition_for("BTCUSDT", GROUPS)


def reasons(stack: Stack) -> list[str]:
    return [headers["reason"].decode() for headers in stack.dead_letter_headers()]


def test_each_bad_record_becomes_a_dead_letter_and_the_next_good_one_is_predicted(
    stack: Stack,
) -> None:
    bad = {
        "not_json": b"{nonsense",
        "bad_size": b"x" * 5000,
        "unknown_schema": candle_bytes(21).replace(b'"schema":1', b'"schema":9'),
        "bad_field": candle_bytes(21).replace(b'"100.5"', b'"NaN"'),
        "off_grid": candle_bytes(21, open_time_ms=START_MS + 21 * STEP_MS + 1),
        "duplicate": rows(["BTCUSDT"], 20, 21)[0][1],
        "contradiction": candle_bytes(20, close="999.0"),
        "out_of_order": candle_bytes(3),
    }
    nested = b"[" * 2000 + b"]" * 2000
    stack.publish(rows(SYMBOLS, 0, 20))
    stack.promote()
    stack.predictor()
    stack.publish(rows(SYMBOLS, 20, 21))
    stack.publish([("BTCUSDT", value) for value in [*bad.values(), nested]], group=GROUP)
    stack.publish(rows(SYMBOLS, 21, 23))

    found = stack.awaits(SYMBOLS, 22)

    assert reasons(stack) == [*bad, "not_json"]
    assert [r.value for r in stack.dead_letters()] == [*bad.values(), nested]
    assert [p.steps for p in found["BTCUSDT"]] == [0, 1, 2]
    assert stack.replay_agrees()


def test_a_bundle_that_is_none_leaves_the_old_model_in_place(stack: Stack) -> None:
    stack.publish(rows(SYMBOLS, 0, 20))
    first = stack.promote()
    stack.predictor()
    good, card = bundle_bytes(seed=5), a_card()
    broken = {
        "cut": good[:-3],
        "wild": good[:-4] + b"\x00\x00\xc0\x7f",
        "other": b"PK\x03\x04" + good,
        "digest": good,
    }
    for name, data in broken.items():
        publish_bundle(stack, f"{version_of(card, data)}-{name}", data, sha256="0" * 64)
    stack.publish(rows(SYMBOLS, 20, 25))

    found = stack.awaits(SYMBOLS, 24)

    assert {p.model_version for p in found["BTCUSDT"]} == {first}
    eventually(lambda: len(reasons(stack)) == len(broken) * GROUPS)
    assert set(reasons(stack)) == {"bad_bundle", "wrong_digest"}
    assert stack.replay_agrees()


def test_a_promotion_waits_for_its_bundle_and_says_so(stack: Stack) -> None:
    stack.publish(rows(SYMBOLS, 0, 20))
    first = stack.promote()
    replica = stack.predictor()
    stack.publish(rows(SYMBOLS, 20, 22))
    stack.awaits(SYMBOLS, 21)
    data = bundle_bytes(seed=9)
    version = version_of(a_card(), data)
    promotion = PromotionMessage(
        type="promotion", model_version=version, bundle_sha256=sha256_hex(data)
    )
    for group in range(GROUPS):
        stack.publish([("promotion", encode_record(promotion))], group=group)
    stack.publish(rows(SYMBOLS, 22, 24))
    eventually(lambda: replica.get("/health/ready")[0] == 503)
    assert version in replica.get("/health/ready")[1]

    publish_bundle(stack, version, data, promote=False)

    found = stack.awaits(SYMBOLS, 23)
    assert [p.model_version for p in found["BTCUSDT"]][-3:] == [first, version, version]
    eventually(lambda: replica.get("/health/ready")[0] == 200)
    assert stack.replay_agrees()


def publish_bundle(
    stack: Stack, version: str, data: bytes, sha256: str = "", *, promote: bool = True
) -> None:
    """What the registry would refuse to publish, as somebody else's program might write it."""
    topics = stack.settings.topics
    records = [ProducerRecord(topics.models, 0, version.encode(), data, START_MS)]
    if promote:
        promotion = PromotionMessage(type="promotion", model_version=version, bundle_sha256=sha256)
        value = encode_record(promotion)
        records += [
            ProducerRecord(topics.klines, group, b"promotion", value, START_MS)
            for group in range(GROUPS)
        ]
    writer = TransactionalProducer(stack.kafka, f"{stack.prefix}stranger")
    writer.write(records)
    writer.close()
