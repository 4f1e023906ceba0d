"""Dataclasses as dictionaries."""

from collections.abc import Hashable, Mapping
from functools import lru_cache
from math import isfinite
from types import NoneType
from typing import Any, Final, TypeVar, cast, get_type_hints

T = TypeVar("T")

_LARGEST: Final = 2**63 - 1  # of a whole number


def dataclass_fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass with slots by name.

    Unlike `dataclasses.asdict` it does not copy the values, which would take most of an encoder's
    time.

    >>> from shared.core.model.scaler import Scaler
    >>> dataclass_fields(Scaler((2.0,), (1.0,)))
    {'scale': (2.0,), 'offset': (1.0,)}
    """
    return {name: getattr(value, name) for name in value.__slots__}


def sorted_fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass with slots by name, in the order of their names.

    >>> from shared.core.model.scaler import Scaler
    >>> sorted_fields(Scaler((2.0,), (1.0,)))
    {'offset': (1.0,), 'scale': (2.0,)}
    """
    return {name: getattr(value, name) for name in _sort_names(value.__slots__)}


@lru_cache(maxsize=32)
def _sort_names(names: tuple[str, ...]) -> list[str]:
    return sorted(names)


def from_fields(kind: type[T], fields: Mapping[str, Any]) -> T:
    """Return the dataclass of fields that JSON gave: lists become tuples of numbers.

    >>> from shared.core.model.scaler import Scaler
    >>> from_fields(Scaler, {"scale": [2.0], "offset": [1.0]})
    Scaler(scale=(2.0,), offset=(1.0,))

    Raises:
        TypeError: a field is missing, unknown, or of another type.
        ValueError: a number is not finite, or a whole one is below 0 or beyond 64 bits.
    """
    hints: dict[str, Any] = _type_hints(cast("Hashable", kind))
    if not fields.keys() <= hints.keys():
        raise TypeError(f"unknown fields {sorted(fields.keys() - hints.keys())!r:.80}")
    return kind(**{name: check_field(name, value, hints[name]) for name, value in fields.items()})


def check_field(name: str, value: Any, hint: Any) -> Any:
    """Return a value that JSON gave for a field of a type; a list becomes a tuple.

    Raises:
        TypeError, ValueError: as `from_fields`.
    """
    return _check(name, value, _JSON_TYPES[hint])


@lru_cache(maxsize=32)
def _type_hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind)


_JSON_TYPES: Final[Mapping[Any, tuple[type, ...]]] = {
    bool: (bool,),
    int: (int,),
    float: (float, int),
    str: (str,),
    int | None: (int, NoneType),
    str | None: (str, NoneType),
    tuple[float, ...]: (list,),
    tuple[int, ...]: (list,),
}


def _check(name: str, value: Any, types: tuple[type, ...]) -> Any:
    # The very type: to isinstance a bool is a whole number.
    if type(value) not in types:
        raise TypeError(f"{name} is {value!r:.80}, not {' or '.join(t.__name__ for t in types)}")
    if isinstance(value, list):
        # Nearly all of these are floats: their types are looked at together.
        is_plain = set(map(type, value)) == {float} and all(map(isfinite, value))
        return tuple(value if is_plain else [_check(name, one, (float, int)) for one in value])
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{name} is {value}, not a finite number")
    if isinstance(value, int) and not 0 <= value <= _LARGEST:
        raise ValueError(f"{name} is {value}; allowed: 0 to {_LARGEST}")
    return value
