"""Which records of `models` tell of a training."""

from dataclasses import replace
from typing import Any

import pytest

from services.trainer.last_training import trained_ms
from shared.adapters.kafka.reader import ConsumerRecord
from tests.support.builders import a_card, bundle_bytes

TRAINED: dict[str, Any] = {"interval": "5m", "symbols": ["BTCUSDT"]}


def a_record(value: bytes | None, published: bytes = b"1700000000000") -> ConsumerRecord:
    return ConsumerRecord(0, 0, 1, b"20250101-aaaa", value, {"published_ms": published})


def a_bundle_of(training: dict[str, Any]) -> bytes:
    return bundle_bytes(card=replace(a_card(), training=training))


def test_a_trained_version_tells_when_it_was_published() -> None:
    assert trained_ms(a_record(a_bundle_of(TRAINED)), "5m") == 1_700_000_000_000


@pytest.mark.parametrize(
    "record",
    [
        a_record(a_bundle_of({"imported_from": "a.keras"})),
        a_record(a_bundle_of({**TRAINED, "interval": "1m"})),
        a_record(a_bundle_of(TRAINED), published=b"yesterday"),
        a_record(b"garbage"),
        a_record(None),
    ],
    ids=["of a file's weights", "of another interval", "no time", "garbage", "nothing"],
)
def test_no_other_record_does(record: ConsumerRecord) -> None:
    assert trained_ms(record, "5m") is None
