"""The messages of the AsyncAPI document."""

from collections.abc import Mapping
from typing import Any, Final

from shared.adapters.contract.record_kinds import KINDS, RecordKind

BYTES: Final = "application/octet-stream"
_SCHEMAS: Final = "#/components/schemas/"
_BINDING_VERSION: Final = "0.5.0"
_SYMBOL_KEY: Final[Mapping[str, Any]] = {"type": "string", "description": "The symbol, in UTF-8."}
_KEYS: Final[Mapping[str, Mapping[str, Any]]] = {
    "promotion": {"type": "string", "const": "promotion"},
    "bundle": {"type": "string", "description": "The model version."},
    "withdrawal": {"type": "string", "description": "The model version."},
    "baskets": {"type": "string", "pattern": "^baskets:[0-9a-f]{8}$"},
    "dead-letter": {"description": "The rejected record's key, any bytes or none."},
    "ban": {"type": "string", "const": "ban"},
    "skip": {"type": "string", "const": "skip"},
    "copy": {"type": "string", "const": "copy"},
}
_BUNDLE: Final = (
    "Line 1: ULSTM-BUNDLE-1. Line 2: the length of the card in bytes. Then the card, canonical JSON"
    " as `CardMessage` says. Then the arrays that it describes: weights, float32 little-endian, in"
    " Keras' order; the head, float64 little-endian, if the card has one, n (n + 3) / 2 numbers for"
    " n inputs; the starts, sorted by symbol, each of as many bytes as the card says. At most"
    " 60 MiB. No pickle, no code."
)


def messages() -> dict[str, dict[str, Any]]:
    """Return all messages by name."""
    values = {kind.name: _message(kind) for kind in KINDS.values() if kind.part == "value"}
    return {name: {**one, "bindings": _bindings(name)} for name, one in values.items()} | {
        "bundle": {
            "title": "bundle",
            "summary": "A model version: its card, its weights, and where symbols start.",
            "contentType": BYTES,
            "headers": _reference("bundle-headers"),
            "payload": {"type": "string", "format": "binary", "description": _BUNDLE},
            "examples": [{"headers": dict(KINDS["bundle-headers"].example)}],
            "bindings": _bindings("bundle"),
        },
        "dead-letter": {
            "title": "dead-letter",
            "summary": "The rejected record's bytes; place and reason in the headers.",
            "contentType": BYTES,
            "headers": _reference("dead-letter-headers"),
            "payload": {"type": "string", "format": "binary", "description": "Any bytes, or none."},
            "examples": [{"headers": dict(KINDS["dead-letter-headers"].example)}],
            "bindings": _bindings("dead-letter"),
        },
    }


def _message(kind: RecordKind) -> dict[str, Any]:
    first, *_ = (kind.model.__doc__ or "").split("\n\n")
    message: dict[str, Any] = {
        "title": kind.name,
        "summary": " ".join(first.split()),
        "contentType": "application/json",
        "payload": _reference(kind.name),
        "examples": [{"payload": dict(kind.example)}],
    }
    headers = _headers_of(kind)
    if headers is not None:
        message["headers"] = _reference(headers.name)
        message["examples"][0]["headers"] = dict(headers.example)
    return message


def _headers_of(kind: RecordKind) -> RecordKind | None:
    if kind.name == "promotion":
        return None
    names = {"klines": "kline-headers", "predictions": "prediction-headers"}
    return KINDS.get(names.get(kind.channel, ""))


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"{_SCHEMAS}{KINDS[name].model.__name__}"}


def _bindings(name: str) -> dict[str, Any]:
    key = dict(_KEYS.get(name, _SYMBOL_KEY))
    return {"kafka": {"key": key, "bindingVersion": _BINDING_VERSION}}
