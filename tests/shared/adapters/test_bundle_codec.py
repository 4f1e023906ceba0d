"""A bundle's bytes: the same back, or a refusal."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.bundle_codec import MAX_BUNDLE_BYTES, decode_bundle, encode_bundle, version_of
from shared.core.errors import BadInput
from shared.core.model.card import sha256_hex
from shared.core.model.scaler import Scaler
from tests.support.builders import a_card, bundle_bytes

MAGIC = b"ULSTM-BUNDLE-1\n"
CARD = a_card(scalers={"BTCUSDT": Scaler((0.5,) * 6, (-0.25,) * 6)})


def with_card(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return bundle bytes whose card was changed."""
    _, length, rest = bundle_bytes(card=CARD).split(b"\n", 2)
    card = json.loads(rest[: int(length)])
    change(card)
    head = json.dumps(card).encode()
    return MAGIC + str(len(head)).encode() + b"\n" + head + rest[int(length) :]


def with_weight(number: float) -> bytes:
    return bundle_bytes(card=CARD)[:-4] + np.float32(number).tobytes()


def test_a_bundle_comes_back_as_it_was() -> None:
    encoded = bundle_bytes(card=CARD)

    bundle = decode_bundle("v1", encoded)

    assert bundle.card == CARD
    assert bundle.sha256 == sha256_hex(encoded)
    assert encode_bundle(bundle.card, bundle.weights) == encoded
    assert [array.shape for array in bundle.arrays()] == CARD.architecture.shapes()


def test_a_version_names_its_time_and_its_content() -> None:
    versions = {version_of(CARD, bundle_bytes(seed, CARD)) for seed in (1, 1, 2)}

    assert len(versions) == 2
    assert all(version.startswith("20250104T1120-") for version in versions)


def test_weights_may_not_be_changed() -> None:
    bundle = decode_bundle("v1", bundle_bytes())

    with pytest.raises(ValueError, match="read-only"):
        bundle.weights[0] = 0.0


@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        (None, "no value"),
        (b"", "does not start with"),
        (b"PK\x03\x04" + bytes(100), "does not start with"),
        (MAGIC, "no length"),
        (MAGIC + b"-5\n{}", "no length"),
        (MAGIC + b"9" * 100, "no length"),
        (MAGIC + b"2\n{}", "rebuild the model"),
        (MAGIC + b"8\nnot json", "rebuild the model"),
        (MAGIC + bytes(MAX_BUNDLE_BYTES), "allowed: up to"),
        (bundle_bytes()[:-1], "describes another number"),
        (bundle_bytes()[:-4], "describes another number"),
        (bundle_bytes() + bytes(4), "describes another number"),
        (with_weight(np.nan), "not finite or too large"),
        (with_weight(np.inf), "not finite or too large"),
        (with_weight(1e7), "not finite or too large"),
    ],
)
def test_damaged_bytes_are_refused(damaged: bytes | None, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        decode_bundle("v1", damaged)


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card.update(schema=2),
        lambda card: card.update(feature_set="unheard-of"),
        lambda card: card.update(label_scale=0.0),
        lambda card: card.update(label_scale="1"),
        lambda card: card.update(loss="absolute_error"),
        lambda card: card.update(surprise=1),
        lambda card: card.pop("optimiser"),
        lambda card: card["optimiser"].update(name="rmsprop"),
        lambda card: card.update(loss={"name": "huber", "delta": 0.0}),
        lambda card: card["shrinkage"].update(weight=0.0),
        lambda card: card["optimiser"].update(rate=-1.0),
        lambda card: card.update(target="level"),
        lambda card: card["architecture"].update(features=5),
        lambda card: card["architecture"].update(widths=[]),
        lambda card: card["architecture"].update(widths=[12]),
        lambda card: card["architecture"].update(widths=[16]),
        lambda card: card["architecture"].update(widths=[10**9]),
        lambda card: card["architecture"].update(window_length=10**9),
        lambda card: card["scalers"]["BTCUSDT"]["scale"].pop(),
        lambda card: card["scalers"]["BTCUSDT"]["scale"].insert(0, float("nan")),
    ],
)
def test_a_card_that_cannot_be_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(BadInput):
        decode_bundle("v1", with_card(change))


@given(st.integers(0, len(bundle_bytes()) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_the_digest(at: int, change: int) -> None:
    encoded = bytearray(bundle_bytes())
    encoded[at] ^= change

    try:
        bundle = decode_bundle("v1", bytes(encoded))
    except BadInput:
        return
    assert bundle.sha256 != sha256_hex(bundle_bytes())


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_decode_or_be_refused(junk: bytes) -> None:
    for encoded in (junk, MAGIC + junk, MAGIC + str(len(junk)).encode() + b"\n" + junk):
        with pytest.raises(BadInput):
            decode_bundle("v1", encoded)


def test_weights_that_are_not_finite_are_not_written() -> None:
    weights = np.full(CARD.architecture.weight_count(), np.nan, np.float32)

    with pytest.raises(BadInput):
        encode_bundle(CARD, weights)
