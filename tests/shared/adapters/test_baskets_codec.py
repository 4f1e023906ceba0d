"""The bytes of a definition of baskets."""

import json

import pytest

from shared.adapters.schemas.baskets import decode_baskets, encode_baskets
from shared.core.errors import BadInput
from shared.core.market import define_baskets
from shared.core.sequence import MAX_BASKETS

COINS = define_baskets([["AAAUSDT", "BBBUSDT"], ["CCCUSDT"]], 1_000, 2_000)


def test_a_definition_survives_its_bytes() -> None:
    assert decode_baskets(encode_baskets(COINS)) == COINS


def test_the_bytes_of_a_definition_are_canonical() -> None:
    value = encode_baskets(COINS)

    assert value == json.dumps(json.loads(value), sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": "00000000"}, "wrong_version"),
        ({"version": "7"}, "bad_field"),
        ({"baskets": []}, "bad_field"),
        ({"baskets": [[]]}, "bad_field"),
        ({"baskets": [["lower"]]}, "bad_field"),
        ({"baskets": [["AAAUSDT"]] * (MAX_BASKETS + 1)}, "bad_field"),
        ({"made_from_ms": -1}, "bad_field"),
        ({"schema": 2}, "unknown_schema"),
    ],
)
def test_what_is_no_definition_is_refused_with_the_reason(
    changes: dict[str, object], reason: str
) -> None:
    value = json.dumps({**json.loads(encode_baskets(COINS)), **changes}).encode()

    with pytest.raises(BadInput) as refused:
        decode_baskets(value)

    assert refused.value.reason == reason


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]"])
def test_bytes_that_are_no_message_are_refused(value: bytes | None) -> None:
    with pytest.raises(BadInput):
        decode_baskets(value)
