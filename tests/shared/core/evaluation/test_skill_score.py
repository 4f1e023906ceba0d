"""Skill, its interval and its p-value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.evaluation.skill_score import TimePool, skill_score

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


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1e6)), max_size=40))
def test_errors_of_one_moment_are_summed(errors: list[tuple[int, float]]) -> None:
    times = np.array([time for time, _ in errors], dtype=np.float64)

    pool = TimePool(times)
    sums = pool.sum(np.array([error for _, error in errors], dtype=np.float64))

    assert len(pool.moments) == len(sums) == len({time for time, _ in errors})
    assert sums.sum() == pytest.approx(sum(error for _, error in errors))
