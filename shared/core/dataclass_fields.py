"""Dataclasses as dictionaries."""

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
