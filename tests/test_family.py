"""One p-value for many comparisons."""

import numpy as np
import pytest

from benchmarks.family import superior_ability_p
from shared.core.arrays import Float64s

N = 1000


def random_gains(seed: int, forecasts: int) -> Float64s:
    """Gains of forecasts that are as good as the benchmark, correlated in time and with others."""
    random = np.random.default_rng(seed)
    common, own = random.normal(size=(N + 2, 1)), random.normal(size=(N + 2, forecasts))
    steps = 0.7 * common + own
    return np.asarray(steps[2:] + 0.5 * steps[1:-1] + 0.25 * steps[:-2])


@pytest.mark.parametrize("forecasts", [1, 20])
def test_of_forecasts_no_better_the_best_is_significant_as_seldom_as_stated(forecasts: int) -> None:
    found = [superior_ability_p(random_gains(seed, forecasts), samples=200) for seed in range(100)]

    rate = np.mean([p is not None and p < 0.1 for p in found])
    assert 0.02 <= rate <= 0.19  # 0.1, within three standard errors of 100 trials


def test_one_better_forecast_is_found_among_many_worse_ones() -> None:
    gains = random_gains(1, 20) - 1.0
    gains[:, 7] += 1.5

    p = superior_ability_p(gains)

    assert p is not None
    assert p < 0.01


def test_forecasts_that_are_all_worse_are_no_better() -> None:
    assert superior_ability_p(random_gains(1, 5) - 2.0) == 1.0


def test_it_is_the_same_at_every_run() -> None:
    gains = random_gains(3, 4) + 0.05

    assert superior_ability_p(gains) == superior_ability_p(gains)


def test_forecasts_that_are_the_benchmark_itself_have_none() -> None:
    assert superior_ability_p(np.zeros((N, 3))) is None
    assert superior_ability_p(np.empty((0, 3))) is None
    assert superior_ability_p(np.empty((N, 0))) is None
