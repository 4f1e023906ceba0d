"""The base model and field types of all wire schemas."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import to_json

from shared.core.errors import BadInput
from shared.core.symbols import MAX_SYMBOL_CHARACTERS, SYMBOL_RULE, is_symbol

SCHEMA: Final = 1
UNKNOWN_SCHEMA: Final = "unknown_schema"
LAST_MS: Final = 253_402_300_799_999  # of the year 9999
# What patterns that every reader of JSON Schemas knows can say of `is_symbol` and of a printable
# text: exact in ASCII, and without the classes of other scripts' characters.
_SYMBOL_END: Final = r"[^\u0000-/:-@\[-\u007f]"
SYMBOL_PATTERN: Final = rf"^{_SYMBOL_END}([^\u0000-,/:-@\[-^`-\u007f]*{_SYMBOL_END})?$"
PRINTABLE_PATTERN: Final = r"^[^\u0000-\u001f\u007f-\u00a0\u00ad\u2028\u2029]*$"


def _check_symbol(name: str) -> str:
    if not is_symbol(name):
        raise ValueError(f"a symbol is {SYMBOL_RULE}")
    return name


Symbol = Annotated[
    str,
    AfterValidator(_check_symbol),
    Field(
        json_schema_extra={
            "pattern": SYMBOL_PATTERN,
            "minLength": 1,
            "maxLength": MAX_SYMBOL_CHARACTERS,
        }
    ),
]
# A literal 1 would also take `true`, which equals it in Python.
SchemaNumber = Annotated[
    int,
    Field(ge=SCHEMA, le=SCHEMA),
    WithJsonSchema({"const": SCHEMA, "type": "integer"}),
]
TimeMs = Annotated[int, Field(ge=0, le=LAST_MS)]
# Whole numbers as any reader may keep them, in 64 bits. The schema does not tell the upper end.
Count = Annotated[int, Field(ge=0, le=2**63 - 1), WithJsonSchema({"minimum": 0, "type": "integer"})]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
VERSION_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
Version = Annotated[str, Field(pattern=VERSION_PATTERN)]
BasketsVersion = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
NumericProfile = Annotated[str, Field(pattern=r"^[0-9]{1,9}-[A-Za-z0-9]{1,64}$")]

_LONGEST_INPUT: Final = 80  # characters of a value in a message
_CONTAINERS: Final = (dict, list, tuple)


class Wire(BaseModel):
    """A message that is read strictly, except that a later version may add fields."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)


def schema_field() -> Any:
    """Return the field `schema` of a message: always written, 1 where it is missing."""
    return Field(default=1, alias="schema", description="Number of this schema; always written.")


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """Return canonical JSON: sorted keys, no spaces, shortest round-trip floats, no NaN.

    Raises:
        ValueError: a number is not finite.
    """
    return dump_sorted(_sort_keys(value))


def dump_sorted(value: Mapping[str, Any]) -> bytes:
    """Return the canonical JSON of a mapping whose keys are sorted already, on every level.

    Raises:
        ValueError: a number is not finite.
    """
    data = to_json(value)  # several times faster than the standard library
    if b"NaN" in data or b"Infinity" in data:
        json.dumps(value, allow_nan=False)  # raises unless that is part of a string
    return data


def dump_plain(value: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Return the JSON of plain values in the order they have, in one line; NaN becomes null."""
    return to_json(value, inf_nan_mode="null")


def _sort_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _sort_keys(one) if isinstance(one, _CONTAINERS) else one
            for key, one in sorted(value.items())
        }
    return [_sort_keys(one) for one in value] if isinstance(value, _CONTAINERS) else value


def check_size(value: bytes | None, max_bytes: int, name: str = "a record") -> bytes:
    """Return the bytes of a message that has some, and no more than its largest size.

    Raises:
        BadInput: it has none, or more.
    """
    if value is None or len(value) > max_bytes:
        size = "no value" if value is None else f"{len(value)} bytes"
        raise BadInput("bad_size", f"{name} has {size}; allowed: 1 to {max_bytes} bytes")
    return value


def to_bad_input(error: ValidationError) -> BadInput:
    """Return the error of a message that does not validate: its first fault and their number."""
    faults = error.errors(include_url=False, include_context=False)
    first = faults[0]
    field = ".".join(str(part) for part in first["loc"]) or "record"
    value = repr(first.get("input"))[:_LONGEST_INPUT]
    more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
    reason = "not_json" if first["type"] == "json_invalid" else "bad_field"
    if field.endswith("schema") or first["type"].startswith("union_tag"):
        reason = UNKNOWN_SCHEMA
    return BadInput(reason, f"{field}: {first['msg']}, got {value}{more}")
