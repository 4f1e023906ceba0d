"""Bundles as bytes: a JSON card, then raw arrays. No pickle, no code.

first line     ULSTM-BUNDLE-1
second line    length of the card in bytes
card           canonical JSON; it says which arrays follow
weights        (weights,)            float32, little-endian
head           (n (n + 3) / 2,)      float64, if the card has a head
starts         canonical bytes of the symbols' states, sorted by symbol
"""

from collections.abc import Mapping
from dataclasses import asdict
from math import inf
from types import MappingProxyType
from typing import Any, Final, NoReturn

import numpy as np
from pydantic import ValidationError

from shared.adapters.schemas.cards import MAX_CARD_BYTES, MAX_CARD_VALUES, CardMessage, HeadMessage
from shared.adapters.schemas.wire import canonical_json, check_size
from shared.core.bounded_json import check_values
from shared.core.errors import BadInput
from shared.core.model.architecture import Architecture
from shared.core.model.card import Bundle, Card, sha256_hex, validate_weights
from shared.core.model.evidence_settings import EvidenceSettings
from shared.core.model.head import MAX_INPUTS, Head, HeadSettings, validate_head
from shared.core.model.interval_settings import IntervalSettings
from shared.core.model.limits import check_range
from shared.core.model.optimiser import Optimiser
from shared.core.model.scaler import Scaler
from shared.core.model.shrinkage import Shrinkage

MAX_BUNDLE_BYTES: Final = 60 * 1024 * 1024
_LONGEST_PLACE: Final = 100  # characters of a field's name in a message
_MAGIC: Final = b"ULSTM-BUNDLE-1\n"


def encode_bundle(
    card: Card,
    weights: np.ndarray[Any, np.dtype[np.float32]],
    head: Head | None = None,
    starts: Mapping[str, bytes] = MappingProxyType({}),
) -> bytes:
    """Return a bundle's canonical bytes.

    Args:
        card: the card.
        weights: (weights,), flat in Keras' order.
        head: the head that symbols start from, if the model has one.
        starts: the canonical bytes of each symbol's state when training ended.

    Raises:
        BadInput: the weights do not fit the card or are not finite.
    """
    checked = validate_weights(card.architecture, weights)
    names = sorted(starts)
    fields = asdict(card) | {
        "schema": 1,
        "loss": _loss_fields(card.huber_delta),
        "head": None if head is None else _head_fields(card.head, head.inputs),
        "starts": {name: len(starts[name]) for name in names},
    }
    del fields["huber_delta"]
    text = canonical_json(fields)
    parts = [_MAGIC, str(len(text)).encode(), b"\n", text, checked.astype("<f4").tobytes()]
    if head is not None:
        parts.append(head.parameters.astype("<f8").tobytes())
    return b"".join([*parts, *(starts[name] for name in names)])


def version_of(card: Card, data: bytes) -> str:
    """Return the version of a new bundle: its trained-through minute and its digest.

    >>> from shared.core.model.card import Architecture, Optimiser
    >>> card = Card(Architecture((8,), 16, 6), "levels", 1.0, Optimiser(), {}, 0, 1735689300000)
    >>> version_of(card, b"")
    '20241231T2355-e3b0c442'
    """
    minute = np.datetime64(card.trained_through_ms, "ms").astype("datetime64[m]")
    stamp = str(minute).replace("-", "").replace(":", "")
    return f"{stamp}-{sha256_hex(data)[:8]}"


def decode_bundle(version: str, data: bytes | None) -> Bundle:
    """Return the bundle of a `models` record.

    Raises:
        BadInput: the bytes are no bundle, or a number is out of range or not finite.
    """
    if data is None or len(data) > MAX_BUNDLE_BYTES:
        size = "no value" if data is None else f"{len(data)} bytes"
        message = f"bundle {version} has {size}; allowed: up to {MAX_BUNDLE_BYTES} bytes"
        raise BadInput("bad_bundle", message)
    head, raw = _split(version, data)
    _check_card_size(version, head)
    try:
        wire = CardMessage.model_validate_json(head)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:_LONGEST_PLACE]
        message = f"card of bundle {version}: {where}: {first['msg']}; rebuild the model"
        raise BadInput("bad_bundle", message) from error
    card, arrays = _to_card(wire), _Arrays(version, raw)
    weights = arrays.take(card.architecture.weight_count(), "<f4").astype(np.float32)
    base_head = None if wire.head is None else _take_head(arrays, wire.head.inputs)
    starts = {name: arrays.take_bytes(size) for name, size in sorted(wire.starts.items())}
    arrays.check_end()
    checked = validate_weights(card.architecture, weights)
    return Bundle(version, card, checked, sha256_hex(data), base_head, starts)


def _check_card_size(version: str, card: bytes) -> None:
    try:
        check_size(card, MAX_CARD_BYTES, "it")
        check_values(card, MAX_CARD_VALUES)
    except BadInput as error:
        message = f"card of bundle {version}: {error}; rebuild the model"
        raise BadInput("bad_bundle", message) from error


class _Arrays:
    """The bytes after the card, taken from the front."""

    def __init__(self, version: str, raw: bytes) -> None:
        self._version, self._raw, self._at = version, raw, 0

    def take(self, count: int, kind: str) -> np.ndarray[Any, Any]:
        """Take an array (count,) of a kind."""
        return np.frombuffer(self.take_bytes(count * np.dtype(kind).itemsize), dtype=kind)

    def take_bytes(self, size: int) -> bytes:
        """Take bytes.

        Raises:
            BadInput: there are fewer.
        """
        taken = self._raw[self._at : self._at + size]
        self._at += size
        if len(taken) < size:
            self._reject()
        return taken

    def check_end(self) -> None:
        """Check that nothing is left.

        Raises:
            BadInput: something is.
        """
        if self._at != len(self._raw):
            self._reject()

    def _reject(self) -> NoReturn:
        message = (
            f"bundle {self._version} has {len(self._raw)} bytes of arrays, its card describes"
            " another number; publish it again whole"
        )
        raise BadInput("bad_bundle", message)


def _take_head(arrays: _Arrays, inputs: int) -> Head:
    check_range("inputs of the head", inputs, 1, MAX_INPUTS)
    return validate_head(arrays.take(inputs * (inputs + 3) // 2, "<f8"), inputs)


def _loss_fields(huber_delta: float) -> str | dict[str, Any]:
    return "squared_error" if huber_delta == inf else {"name": "huber", "delta": huber_delta}


def _head_fields(settings: HeadSettings, inputs: int) -> dict[str, Any]:
    largest = settings.largest_error
    return asdict(settings) | {
        "inputs": inputs,
        "largest_error": None if largest == inf else largest,
    }


def _head_settings(wire: HeadMessage | None) -> HeadSettings:
    if wire is None:
        return HeadSettings()
    largest = inf if wire.largest_error is None else wire.largest_error
    return HeadSettings(wire.forgetting, wire.prior_observations, largest)


def _split(version: str, data: bytes) -> tuple[bytes, bytes]:
    """Split a bundle into the card's JSON and the raw weights."""
    if not data.startswith(_MAGIC):
        message = f"bundle {version} does not start with {_MAGIC!r}; publish one of `ulstm train`"
        raise BadInput("bad_bundle", message)
    length, separator, _ = data[len(_MAGIC) : len(_MAGIC) + 12].partition(b"\n")
    if not separator or not length.isdigit():
        message = f"bundle {version} has no length after its first line; publish it again whole"
        raise BadInput("bad_bundle", message)
    start = len(_MAGIC) + len(length) + 1
    end = start + int(length)
    return data[start:end], data[end:]


def _to_card(wire: CardMessage) -> Card:
    fields = dict(wire)
    del fields["schema_"], fields["loss"], fields["starts"]
    return Card(
        **fields
        | {
            "huber_delta": inf if isinstance(wire.loss, str) else wire.loss.delta,
            "head": _head_settings(wire.head),
            "architecture": Architecture(**dict(wire.architecture)),
            "optimiser": Optimiser(**dict(wire.optimiser)),
            "shrinkage": Shrinkage(**dict(wire.shrinkage)),
            "intervals": IntervalSettings(**dict(wire.intervals)),
            "evidence": EvidenceSettings(**dict(wire.evidence)),
            "scalers": {symbol: Scaler(**dict(each)) for symbol, each in wire.scalers.items()},
        }
    )
