"""One candle never decides: what a jump does to units and rows is bounded, and soon over."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.arrays import Float64s
from shared.core.features.registry import feature_set
from shared.core.features.robust import (
    PRIOR_VARIANCE,
    clip,
    growing_weight,
    relative_turnover,
    update_turnover,
    update_variance,
    volatility,
)
from shared.core.sequence import CLOSE, HIGH, LOW, MARKET_CHANGE, OPEN, VOLUME
from tests.support.builders import STEP_MS, a_sequence

COUNT = 700
DAY = 288  # candles of 5m
NAMES = ["market", "returns"]
factors = st.floats(-3.0, 3.0).map(lambda power: float(10.0**power))


def a_market_sequence(count: int = COUNT) -> Float64s:
    """A walk of closes and of the market's change."""
    sequence = a_sequence(3, count).copy()
    sequence[:, MARKET_CHANGE] = np.random.default_rng(4).normal(scale=0.001, size=count)
    return sequence


def units_of(name: str, sequence: Float64s) -> Float64s:
    return feature_set(name).compute(sequence, STEP_MS).units


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(factors, st.integers(0, COUNT - DAY - 1), st.booleans())
def test_a_unit_recovers_from_a_jump_within_a_day(
    name: str, factor: float, at: int, stays: bool
) -> None:
    """The price jumps in one candle and stays there, as redenominated, or comes back."""
    usual = a_market_sequence()
    jumped = usual.copy()
    jumped[at : None if stays else at + 1, OPEN + 1 : CLOSE + 1] *= factor
    jumped[at + 1 : None if stays else at + 1, OPEN] *= factor
    top, bottom = jumped[:, (OPEN, CLOSE)].max(axis=1), jumped[:, (OPEN, CLOSE)].min(axis=1)
    jumped[:, HIGH] = np.maximum(jumped[:, HIGH], top)
    jumped[:, LOW] = np.minimum(jumped[:, LOW], bottom)

    ratios = units_of(name, jumped)[at:] / units_of(name, usual)[at:]

    assert ratios[DAY:].max() < 1.4
    assert ratios[DAY:].min() > 1.0 / 1.2


@pytest.mark.parametrize("name", NAMES)
def test_a_listing_that_opens_at_a_fiftieth_has_its_unit_within_an_hour(name: str) -> None:
    usual = a_market_sequence()
    listed = usual.copy()
    listed[0, OPEN] = listed[0, LOW] = listed[0, CLOSE] / 50.0

    ratios = units_of(name, listed) / units_of(name, usual)

    assert ratios[12:].max() < 1.05


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(factors, st.integers(10, COUNT - DAY - 1))
def test_an_absurd_volume_is_forgotten_within_a_day(name: str, factor: float, at: int) -> None:
    usual = a_market_sequence()
    other = usual.copy()
    other[at, VOLUME] *= factor
    turnover = 3

    rows, other_rows = (feature_set(name).compute(s, STEP_MS).rows for s in (usual, other))

    assert other_rows[at + DAY :, turnover] == pytest.approx(rows[at + DAY :, turnover], abs=0.4)


@pytest.mark.parametrize("name", NAMES)
def test_a_redenomination_leaves_turnover_and_changes_as_they_are(name: str) -> None:
    usual = a_market_sequence()
    new = usual.copy()
    new[DAY:, OPEN : CLOSE + 1] *= 1024.0  # exact
    new[DAY:, VOLUME] /= 1024.0

    rows, new_rows = (feature_set(name).compute(s, STEP_MS).rows for s in (usual, new))

    later = slice(DAY + 1, None)
    assert new_rows[later, 3] == pytest.approx(rows[later, 3])
    assert new_rows[later, 0] == pytest.approx(rows[later, 0], rel=0.16)


def test_a_volatility_finds_its_level_within_an_hour() -> None:
    for size in (2e-5, 1e-3, 0.05):
        variance = PRIOR_VARIANCE
        for count in range(1, 61):
            variance = update_variance(variance, size if count % 2 else -size, float(count))

        assert volatility(variance) == pytest.approx(size, rel=0.35)


def test_one_change_raises_the_volatility_by_at_most_a_tenth() -> None:
    variance = 1e-6

    after = update_variance(variance, 1000.0, 1000.0)

    assert 1.0 < sqrt(after / variance) < 1.1


def test_the_mean_turnover_starts_at_the_first_and_is_plain_for_a_while() -> None:
    first = update_turnover(0.0, 50.0, 1.0)

    assert first == 50.0
    assert update_turnover(first, 100.0, 2.0) == 75.0
    assert update_turnover(first, 1e9, 2.0) == (50.0 + 16.0 * 50.0) / 2.0
    assert relative_turnover(0.0, 0.0) == 0.0


def test_a_weight_is_that_of_a_plain_mean_at_first() -> None:
    assert growing_weight(0.01, 4.0) == 0.25
    assert growing_weight(0.01, 4.0, 6.0) == 0.1
    assert growing_weight(0.01, 1000.0) == 0.01


def test_beyond_the_limit_counts_as_the_limit() -> None:
    assert [clip(x) for x in (7.0, 5.0, -5.0, -7.0)] == [6.0, 5.0, -5.0, -6.0]
