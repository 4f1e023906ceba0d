"""Whatever the services have written to their topics, held against the schemas."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from shared.adapters.contract.json_schema import record_schema
from shared.adapters.contract.record_kinds import KINDS
from shared.adapters.kafka.reader import ConsumerRecord
from tests.support.deployment import Deployment

KLINE_KINDS = {"amendment": "candle", "fill": "candle"}


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(record_schema(KINDS[name]))


def describe_faults(deployment: Deployment) -> list[str]:
    """Return the faults of all records of a deployment; empty: they are as the contract says."""
    topics = deployment.topics
    parts = [
        *(part for one in deployment.read(topics.klines) for part in kline_parts(one)),
        *(part for one in deployment.read(topics.predictions) for part in prediction_parts(one)),
        *(part for one in deployment.read(topics.models, [0]) for part in model_parts(one)),
        *(("dead-letter-headers", texts(one)) for one in deployment.read(topics.dead_letters, [0])),
    ]
    assert {"candle", "promotion", "prediction", "bundle-card"} <= {name for name, _ in parts}
    return [
        f"{name}: {fault.message}"
        for name, value in parts
        for fault in validator(name).iter_errors(value)
    ]


def kline_parts(record: ConsumerRecord) -> Iterator[tuple[str, Any]]:
    value = json.loads(record.value or b"")
    yield KLINE_KINDS.get(value["type"], value["type"]), value
    if record.headers:
        yield "kline-headers", texts(record)


def prediction_parts(record: ConsumerRecord) -> Iterator[tuple[str, Any]]:
    yield "prediction", json.loads(record.value or b"")
    if record.headers:
        yield "prediction-headers", texts(record)


def model_parts(record: ConsumerRecord) -> Iterator[tuple[str, Any]]:
    _, length, rest = (record.value or b"").split(b"\n", 2)
    yield "bundle-card", json.loads(rest[: int(length)])
    yield "bundle-headers", texts(record)


def texts(record: ConsumerRecord) -> Mapping[str, str]:
    return {name: value.decode() for name, value in (record.headers or {}).items()}
