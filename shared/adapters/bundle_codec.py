"""Bundles as bytes: a JSON card, then the weights as raw float32. No pickle, no code."""

from dataclasses import asdict
from math import inf
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.adapters.schemas.wire import canonical_json
from shared.core.errors import BadInput
from shared.core.model.architecture import Architecture
from shared.core.model.card import Bundle, Card, sha256_hex, validate_weights
from shared.core.model.optimiser import Optimiser
from shared.core.model.scaler import Scaler
from shared.core.model.shrinkage import Shrinkage

MAX_BUNDLE_BYTES: Final = 32 * 1024 * 1024
_MAGIC: Final = b"ULSTM-BUNDLE-1\n"


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Architecture(_Wire):
    widths: Annotated[tuple[int, ...], Field(min_length=1, max_length=3)]
    window_length: int
    features: int


class _Optimiser(_Wire):
    name: Literal["adam", "sgd"]
    rate: float
    beta_1: float
    beta_2: float
    epsilon: float


class _Loss(_Wire):
    name: Literal["huber"]
    delta: float


class _Shrinkage(_Wire):
    weight: float
    prior: float
    caution: float
    memory: float
    largest: float
    confidence: float
    patience: int


class _Scaler(_Wire):
    scale: tuple[float, ...]
    offset: tuple[float, ...]


class _Card(_Wire):
    schema_: Literal[1] = Field(default=1, alias="schema")
    architecture: _Architecture
    feature_set: str
    label_scale: float
    loss: Literal["squared_error"] | _Loss
    optimiser: _Optimiser
    shrinkage: _Shrinkage
    scalers: dict[str, _Scaler]
    trained_from_ms: int
    trained_through_ms: int
    parent: str | None
    scores: dict[str, Any]
    training: dict[str, Any]


def encode_bundle(card: Card, weights: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    """Return a bundle's canonical bytes.

    Raises:
        BadInput: the weights do not fit the card or are not finite.
    """
    checked = validate_weights(card.architecture, weights)
    fields = asdict(card)
    fields["schema"] = 1
    delta = fields.pop("huber_delta")
    fields["loss"] = "squared_error" if delta == inf else {"name": "huber", "delta": delta}
    head = canonical_json(fields)
    return b"".join([_MAGIC, str(len(head)).encode(), b"\n", head, checked.astype("<f4").tobytes()])


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
    try:
        wire = _Card.model_validate_json(head)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        message = f"card of bundle {version}: {where}: {first['msg']}; rebuild the model"
        raise BadInput("bad_bundle", message) from error
    card = _to_card(wire)
    if len(raw) % 4:
        message = f"bundle {version} ends inside a weight; publish it again whole"
        raise BadInput("bad_bundle", message)
    weights = np.frombuffer(raw, dtype="<f4").astype(np.float32)
    return Bundle(version, card, validate_weights(card.architecture, weights), sha256_hex(data))


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


def _to_card(wire: _Card) -> Card:
    fields = dict(wire)
    del fields["schema_"], fields["loss"]
    return Card(
        **fields
        | {
            "huber_delta": inf if isinstance(wire.loss, str) else wire.loss.delta,
            "architecture": Architecture(**dict(wire.architecture)),
            "optimiser": Optimiser(**dict(wire.optimiser)),
            "shrinkage": Shrinkage(**dict(wire.shrinkage)),
            "scalers": {symbol: Scaler(**dict(each)) for symbol, each in wire.scalers.items()},
        }
    )
