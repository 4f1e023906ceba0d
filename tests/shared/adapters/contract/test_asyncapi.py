"""The AsyncAPI document, held against an independent parser and the schemas of the records."""

import json
import warnings
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import pytest
from jsonschema import Draft7Validator
from pydantic import ValidationError

from shared.adapters.contract.asyncapi import asyncapi_document
from shared.adapters.contract.record_kinds import KINDS
from shared.core.topics import Topics

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of fields named `schema`
    from asyncapi3.models.asyncapi import AsyncAPI3

DOCUMENT: Final = json.loads(json.dumps(asyncapi_document()))
MESSAGES: Final[dict[str, dict[str, Any]]] = DOCUMENT["components"]["messages"]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from references(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key == "$ref":
                yield one
            else:
                yield from references(one)


def follow(reference: str) -> Any:
    found = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def test_an_independent_parser_takes_the_document() -> None:
    parsed = AsyncAPI3.model_validate(DOCUMENT)

    assert parsed.asyncapi == "3.0.0"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("channels/klines/bindings/kafka/partition", 6),
        ("channels/klines/bindings/kafka/partitions", 0),
        ("operations/send-klines/action", "emit"),
        ("info/title", None),
        ("components/messages/candle/payload", 3),
        ("components/messages/candle/examples", [{}]),
    ],
)
def test_the_parser_refuses_what_is_no_asyncapi(path: str, value: object) -> None:
    document = deepcopy(DOCUMENT)
    *parents, last = path.split("/")
    inner = document
    for name in parents:
        inner = inner[name]
    inner[last] = value

    with pytest.raises(ValidationError):
        AsyncAPI3.model_validate(document)


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))

    assert len(found) > 20
    assert all(follow(reference) for reference in found)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_examples_of_a_message_fit_its_schemas(name: str) -> None:
    """AsyncAPI's own schemas are those of JSON Schema draft 7."""
    message = MESSAGES[name]
    for part in ("headers", "payload"):
        if "$ref" in message.get(part, {}):
            schema = {**message[part], "components": DOCUMENT["components"]}
            (found,) = message["examples"]
            Draft7Validator.check_schema(schema)
            assert list(Draft7Validator(schema).iter_errors(found[part])) == []


def test_every_record_kind_is_in_the_document() -> None:
    used = {follow(reference)["title"] for reference in references(MESSAGES)}
    carried_elsewhere = {"CardMessage"}

    assert {kind.model.__name__ for kind in KINDS.values()} - carried_elsewhere <= used
    assert carried_elsewhere <= set(DOCUMENT["components"]["schemas"])


def test_every_topic_of_a_deployment_has_a_channel() -> None:
    addresses = {
        channel["address"].format(prefix="mine.", interval="1h")
        for channel in DOCUMENT["channels"].values()
    }

    assert addresses == set(Topics("1h", 6, "mine.").specifications())


def test_every_message_is_on_a_channel() -> None:
    names = [name for one in DOCUMENT["channels"].values() for name in one["messages"]]

    assert sorted(names) == sorted(MESSAGES)
