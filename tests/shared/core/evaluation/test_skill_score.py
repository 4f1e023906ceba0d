"""Skill, its interval and its p-value."""

import numpy as np
import pytest

from shared.core.arrays import Float64s
from shared.core.evaluation.skill_score import clark_west_p, skill_score

N = 4000


def normal(seed: int, size: int = N) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(size=size)


def test_half_the_error_is_a_skill_of_one_half() -> None:
    reference = 1.0 + 0.1 * normal(1) ** 2

    found = skill_score(reference / 2, reference)

    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert found.p < 1e-6
    assert found.n == N


def test_the_interval_covers_the_truth_with_its_nominal_frequency() -> None:
    """Without skill, 95 of 100 intervals hold zero, and p is below 0.05 as often as that."""
    found = [
        skill_score((normal(seed) - 0.1 * normal(seed + 1000)) ** 2, normal(seed + 2000) ** 2)
        for seed in range(300)
    ]
    true = 1.0 - 1.01
    covered = np.mean([one is not None and one.low <= true <= one.high for one in found])

    assert 0.91 <= covered <= 0.99


def test_correlation_in_time_widens_the_interval() -> None:
    reference = normal(1) ** 2
    alone = normal(2)
    slow = np.convolve(alone, np.ones(10) / np.sqrt(10), mode="same")

    wide, narrow = (skill_score(reference - 0.1 * gains, reference) for gains in (slow, alone))

    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_moments_give_no_skill(count: int) -> None:
    assert skill_score(np.ones(count), np.ones(count)) is None
    assert skill_score(np.zeros(9), np.zeros(9)) is None


def test_a_forecast_against_itself_has_a_skill_of_exactly_zero() -> None:
    found = skill_score(np.ones(9), np.ones(9))

    assert found is not None
    assert (found.value, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def nested_forecasts(seed: int, slope: float) -> tuple[Float64s, Float64s, Float64s]:
    """Forecast zero, and by a regression on all that was known; return errors and distances."""
    x, noise = normal(seed, 1000), normal(seed + 10_000, 1000)
    y = slope * x + noise
    products, squares = np.cumsum(x * y), np.cumsum(x * x)
    forecast = np.concatenate([[0.0], products[:-1] / squares[:-1]]) * x
    rows = slice(100, None)
    return ((y - forecast) ** 2)[rows], (y**2)[rows], (forecast**2)[rows]


def test_a_nested_test_rejects_a_true_null_as_often_as_it_says() -> None:
    """The test of equal errors rejects hardly ever there: estimation costs the larger model."""
    samples = [nested_forecasts(seed, 0.0) for seed in range(400)]

    nested = np.mean([(clark_west_p(*sample) or 0.0) < 0.1 for sample in samples])
    equal = np.mean(
        [one is not None and one.p < 0.1 for one in (skill_score(a, b) for a, b, _ in samples)]
    )

    assert 0.03 < nested < 0.14  # Clark and West: somewhat below the nominal size
    assert equal < 0.03


def test_a_nested_test_finds_a_weak_truth_more_often_than_one_of_equal_errors() -> None:
    samples = [nested_forecasts(seed, 0.06) for seed in range(200)]

    nested = sum((clark_west_p(*sample) or 0.0) < 0.05 for sample in samples)
    equal = sum(
        one is not None and one.p < 0.05 for one in (skill_score(a, b) for a, b, _ in samples)
    )

    assert nested > 1.3 * equal


def test_a_nested_test_needs_two_moments_and_knows_a_forecast_that_is_the_same() -> None:
    assert clark_west_p(np.ones(1), np.ones(1), np.zeros(1)) is None
    assert clark_west_p(np.ones(9), np.ones(9), np.zeros(9)) == 1.0
