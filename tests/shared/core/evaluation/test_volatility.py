"""The volatility that errors are measured in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.arrays import Float64s
from shared.core.evaluation.volatility import volatility_after
from shared.core.features.registry import feature_set
from tests.support.builders import STEP_MS, a_sequence


def with_jump(sequence: Float64s, at: int, factor: float) -> Float64s:
    """Return the candles with all prices multiplied from one candle on."""
    jumped = sequence.copy()
    jumped[at, 2:5] *= factor
    jumped[at + 1 :, 1:5] *= factor
    return jumped


def test_of_usual_candles_it_is_the_unit_of_the_returns() -> None:
    sequence = a_sequence(1, 600)
    units = feature_set("returns").compute(sequence, STEP_MS).units

    assert volatility_after(sequence, STEP_MS)[60:] == pytest.approx(units[60:], rel=0.02)


@given(st.integers(13, 299), st.floats(-7, 7))
def test_one_jump_counts_as_eight_volatilities(at: int, exponent: float) -> None:
    usual = a_sequence(2, 600)
    jumped = with_jump(usual, at, 10.0**exponent)

    before, after = (volatility_after(one, STEP_MS) for one in (usual, jumped))

    assert np.all(after[at:] <= before[at:] * np.sqrt(1.1 + 64.0 / min(at, 200)))
    assert np.all(after >= 0.8 * before)


def test_a_listing_that_opens_at_a_fiftieth_of_its_close_has_a_usual_volatility_soon() -> None:
    sequence = a_sequence(3, 600).copy()
    sequence[0, 1] /= 50.0

    assert volatility_after(sequence, STEP_MS)[100] < 1.6 * volatility_after(sequence, STEP_MS)[500]


def test_a_price_that_never_moves_has_a_volatility_above_zero() -> None:
    flat = a_sequence(1, 50).copy()
    flat[:, 1:5] = 1.0

    assert np.all(volatility_after(flat, STEP_MS) > 0.0)
    assert len(volatility_after(flat[:0], STEP_MS)) == 0
