"""Dataclasses as dictionaries."""

from functools import lru_cache
from typing import Any


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
