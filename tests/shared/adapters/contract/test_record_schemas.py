"""The schemas of the records, held against an independent validator and against our decoders."""

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from shared.adapters.bundle_codec import decode_bundle
from shared.adapters.contract.json_schema import record_schema
from shared.adapters.contract.record_kinds import KINDS, find_kind
from shared.adapters.schemas.dead_letters import (
    DeadLetter,
    dead_letter_headers,
    decode_dead_letter,
)
from shared.adapters.schemas.predictions import decode_prediction, encode_prediction
from shared.adapters.schemas.wire import canonical_json
from shared.core.errors import Unknown
from shared.core.model.architecture import Architecture
from shared.core.symbols import is_symbol
from tests.shared.adapters.contract.decoders import DECODERS, example, is_readable
from tests.shared.adapters.contract.predictions import predictions

KLINES: Final = ("candle", "gap", "status", "promotion")
CONTROL: Final = ("symbol-control", "ban")
# What a writer who errs may put in place of a value. A whole number with a point is left out: see
# below. No text ends with a line break: in a pattern,
# the validator's Python takes it for the end, which JSON Schema does not.
WRONG: Final[list[Any]] = [
    # Whole numbers beyond 64 bits are foreign by the contract's text; the schemas do not tell.
    *(None, True, False, -1, 0, 1, 7, 2**63 - 1, -0.5, 1.5, 1e-300),
    *("", "x", "1", "-1", "0.0", "1e5", "BTCUSDT", "btcusdt", "-", "币安人生USDT", "é"),
    *("gap", "fill", "5m", "00c0ffee", "9b" * 32, "2-fb10", "two\nlines", "A" * 51, "1" * 21),
    *([], [1], [None], ["BTCUSDT"], {}, {"n": 1}, {"symbols": 1}),
]


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(record_schema(KINDS[name]))


def is_valid(names: tuple[str, ...], value: Any) -> bool:
    return any(validator(name).is_valid(value) for name in names)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value inside a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inside:
        yield (*path, key)
        if isinstance(one, dict | list):
            yield from places(one, (*path, key))


@st.composite
def mutations(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    """Draw a value with one or two of its parts replaced, removed or added."""
    changed = deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        *path, last = draw(st.sampled_from(list(places(changed))))
        inner = changed
        for key in path:
            inner = inner[key]
        match draw(st.sampled_from(["replace", "replace", "remove", "add"])):
            case "replace":
                inner[last] = deepcopy(draw(st.sampled_from(WRONG)))
            case "remove":
                del inner[last]
            case _ if isinstance(inner, dict):
                inner["mood"] = "good"
        if not changed:
            break
    return changed


@pytest.mark.parametrize("name", KINDS)
def test_a_schema_is_one_and_its_example_is_valid(name: str) -> None:
    schema = record_schema(KINDS[name])

    Draft202012Validator.check_schema(schema)
    assert list(Draft202012Validator(schema).iter_errors(example(name))) == []


@pytest.mark.parametrize("name", [name for name in DECODERS if KINDS[name].part == "value"])
def test_an_example_is_read_by_its_decoder(name: str) -> None:
    DECODERS[name](canonical_json(example(name)))


def test_the_example_of_a_card_is_that_of_a_bundle() -> None:
    card = canonical_json(example("bundle-card"))
    weights = np.zeros(Architecture((8,), 16, 6).weight_count(), "<f4").tobytes()
    data = b"ULSTM-BUNDLE-1\n%d\n%b%b" % (len(card), card, weights)

    assert decode_bundle("v1", data).card.feature_set == example("bundle-card")["feature_set"]


@pytest.mark.parametrize("name", KINDS)
def test_an_example_has_every_field(name: str) -> None:
    assert set(example(name)) >= set(record_schema(KINDS[name])["properties"]) - {"replayed-from"}


@pytest.mark.parametrize("name", KINDS)
def test_every_field_of_a_record_is_described(name: str) -> None:
    fields = record_schema(KINDS[name])["properties"]

    assert [
        field
        for field, schema in fields.items()
        if "description" not in schema and not {"$ref", "const", "anyOf"} & set(schema)
    ] == []


def test_the_headers_of_a_dead_letter_are_as_its_schema_says() -> None:
    letter = DeadLetter("klines.5m", 3, -1, None, b"{", "not_json", "x" * 2_000)
    headers = dict(dead_letter_headers(letter))
    texts = {name: data.decode() for name, data in headers.items()}

    assert list(validator("dead-letter-headers").iter_errors(texts)) == []
    assert decode_dead_letter(headers, None, b"{").reason == "not_json"


@given(predictions())
@settings(max_examples=50)
def test_what_the_encoder_writes_is_valid(prediction: Any) -> None:
    value = encode_prediction(prediction)

    assert list(validator("prediction").iter_errors(json.loads(value))) == []
    assert decode_prediction(value) == prediction


@pytest.mark.parametrize(
    ("names", "name"),
    [
        *((KLINES, name) for name in KLINES),
        (("prediction",), "prediction"),
        (("bundle-card",), "bundle-card"),
        (("baskets",), "baskets"),
        *((CONTROL, name) for name in CONTROL),
    ],
)
@given(st.data())
@settings(max_examples=150)
def test_schema_and_decoder_agree_on_changed_records(
    names: tuple[str, ...], name: str, data: st.DataObject
) -> None:
    value = data.draw(mutations(example(name)))

    assert is_valid(names, value) == is_readable(DECODERS[name], canonical_json(value))


@given(predictions(), st.data())
@settings(max_examples=50)
def test_schema_and_decoder_agree_on_changed_predictions(
    prediction: Any, data: st.DataObject
) -> None:
    value = data.draw(mutations(json.loads(encode_prediction(prediction))))

    is_right = is_valid(("prediction",), value)
    assert is_right == is_readable(decode_prediction, canonical_json(value))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400])
def test_a_number_that_is_not_finite_is_refused_by_both(number: str) -> None:
    value = canonical_json(example("prediction")).replace(b"82550.01", number.encode())

    assert not validator("prediction").is_valid(json.loads(value))
    assert not is_readable(decode_prediction, value)


def test_a_whole_number_with_a_point_is_what_no_schema_can_refuse() -> None:
    value = {**example("prediction"), "steps": 12.0}

    assert validator("prediction").is_valid(value)
    assert not is_readable(decode_prediction, canonical_json(value))


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_the_pattern_of_symbols_is_exact_in_ascii(name: str) -> None:
    if not name.endswith("\n"):
        assert validator("gap").is_valid({**example("gap"), "symbol": name}) == is_symbol(name)


@given(st.text(max_size=12))
def test_every_symbol_fits_the_pattern(name: str) -> None:
    if is_symbol(name):
        assert validator("gap").is_valid({**example("gap"), "symbol": name})


def test_a_kind_that_is_unknown_is_named_with_those_there_are() -> None:
    with pytest.raises(Unknown, match=r"'trade'; choose one of candle, gap"):
        find_kind("trade")
