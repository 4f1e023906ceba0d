"""Calibration: a forecast counts as far as forecasts have been realised."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import BadInput
from shared.core.model.shrinkage import Shrinkage
from shared.core.online.calibration import Calibration

finite = st.floats(-1e6, 1e6)
SHRINKAGE = Shrinkage()


def calibrate(
    pairs: Iterable[tuple[float, float]], shrinkage: Shrinkage = SHRINKAGE
) -> Calibration:
    calibration = Calibration()
    for forecast, outcome in pairs:
        calibration = calibration.with_outcome(forecast, outcome, shrinkage)
    return calibration


def draw_pairs(slope: float, count: int = 5000, seed: int = 1) -> list[tuple[float, float]]:
    """Forecasts of a tenth of the outcomes' size, of which a share comes true."""
    random = np.random.default_rng(seed)
    forecasts = 0.1 * random.normal(size=count)
    outcomes = slope * forecasts + random.normal(size=count)
    return list(zip(forecasts.tolist(), outcomes.tolist(), strict=True))


@given(st.lists(st.tuples(finite, finite), max_size=30))
def test_the_coefficient_is_never_below_zero_or_above_one(pairs: list[tuple[float, float]]) -> None:
    assert 0.0 <= calibrate(pairs).coefficient(SHRINKAGE) <= 1.0


def test_the_coefficient_starts_at_its_prior() -> None:
    assert Calibration().coefficient(Shrinkage(prior=0.0)) == 0.0
    assert Calibration().coefficient(Shrinkage(prior=0.4)) == pytest.approx(0.4)


def test_the_coefficient_grows_while_forecasts_are_realised() -> None:
    pairs = draw_pairs(slope=1.0, count=20_000)

    coefficients = [calibrate(pairs[:count]).coefficient(SHRINKAGE) for count in (0, 2_000, 20_000)]

    assert all(early < late for early, late in pairwise(coefficients))


def test_the_coefficient_of_opposite_forecasts_is_zero() -> None:
    pairs = draw_pairs(slope=-1.0)

    assert calibrate(pairs).coefficient(SHRINKAGE) == 0.0


def test_noise_does_little_harm() -> None:
    harm = []
    for seed in range(20):
        calibration, error, zero = Calibration(), 0.0, 0.0
        for forecast, outcome in draw_pairs(slope=0.0, seed=seed):
            calibrated = forecast * calibration.coefficient(SHRINKAGE)
            error += (outcome - calibrated) ** 2
            zero += outcome**2
            calibration = calibration.with_outcome(forecast, outcome, SHRINKAGE)
        harm.append(error / zero - 1.0)

    assert max(harm) < 0.001
    assert np.mean(harm) < 0.0003


def test_an_outcome_beyond_the_largest_counts_as_the_largest() -> None:
    assert calibrate([(0.1, 1e9)]) == calibrate([(0.1, SHRINKAGE.largest)])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight", 0.0),
        ("prior", 1.1),
        ("caution", -1.0),
        ("memory", 1.01),
        ("largest", 0.0),
    ],
)
def test_a_setting_out_of_bounds_is_rejected_by_name(name: str, value: Any) -> None:
    with pytest.raises(BadInput, match=f"shrinkage {name} is {value}; allowed"):
        replace(Shrinkage(), **{name: value})
