"""A state's digest tells any two states apart, and does not depend on how a state came about."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from math import isnan
from typing import Any

import numpy as np
import pytest

from shared.core.arrays import read_only64
from shared.core.model.head import Head
from shared.core.model.scaler import Scaler
from shared.core.online.state import SymbolState
from shared.core.online.state_codec import decode_state, encode_state
from shared.core.online.state_digest import state_digest
from tests.shared.core.online.models import MODELS, WINDOW
from tests.support.builders import a_promotion, a_walk, candles, fold_all

# Computed from the rest, or a fact about numbers that are in the digest.
DERIVED = {"jacobian", "head_inputs", "is_finite"}


def a_state(kind: str) -> SymbolState:
    model = MODELS[kind]
    log = [a_promotion(model), *candles(a_walk(WINDOW + 5, 5))]
    state, _ = fold_all(log, {model.version: model})
    one = state.symbols["BTCUSDT"]
    return one.replace(scaler=one.scaler or Scaler((2.0, 3.0), (1.0, 0.5)))


def others(value: Any) -> Iterator[Any]:
    """Yield values that differ from one in a single place each."""
    if is_dataclass(value):
        yield from other_fields(value)
    elif isinstance(value, np.ndarray):
        yield from other_arrays(value)
    elif isinstance(value, tuple):
        for at, each in enumerate(value):
            yield from ((*value[:at], other, *value[at + 1 :]) for other in others(each))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (2 * value + 1, -value if value else -0.0)
    elif isinstance(value, str):
        yield f"{value}x"


def other_fields(value: Any) -> Iterator[Any]:
    for field in fields(value):
        if field.name not in DERIVED:
            for other in others(getattr(value, field.name)):
                yield change(value, field.name, other)


def other_arrays(array: Any) -> Iterator[Any]:
    for at in {0, array.size // 2, array.size - 1} if array.size else ():
        other = array.copy()
        number = other.flat[at]
        other.flat[at] = 1.0 if isnan(number) else np.nextafter(number, number + 1)
        other.flags.writeable = False
        yield other


def change(value: Any, name: str, other: Any) -> Any:
    if isinstance(value, SymbolState):
        return value.replace(**{name: other})
    return replace(value, **{name: other})


@pytest.mark.parametrize("kind", MODELS)
def test_every_number_and_text_of_a_state_is_in_its_digest(kind: str) -> None:
    state = a_state(kind)

    found = [state_digest(other) for other in others(state)]

    assert len(found) > 100
    assert state_digest(state) not in found
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("kind", MODELS)
def test_a_part_that_is_missing_differs_from_one_that_is_there(kind: str) -> None:
    state = a_state(kind)
    parts = ("learner", "head", "features", "intervals", "pending", "scaler")

    without = {state_digest(state.replace(**{name: None})) for name in parts}

    there = sum(getattr(state, name) is not None for name in parts)
    assert len(without - {state_digest(state)}) == there


def test_the_digest_is_that_of_the_stored_state() -> None:
    for kind in MODELS:
        state = a_state(kind)
        assert state_digest(decode_state(encode_state(state))) == state_digest(state)


def test_numbers_that_change_places_change_the_digest() -> None:
    numbers = np.arange(1.0, 1.0 + 2 * (2 + 3) // 2)
    swapped = numbers[[4, 1, 2, 3, 0]]
    one, other = (
        state_digest(SymbolState("BTCUSDT", head=Head(read_only64(each), 2)))
        for each in (numbers, swapped)
    )
    assert one != other
