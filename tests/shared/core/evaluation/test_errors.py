"""Errors are bounded, and those of a moment are one sample."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.evaluation.comparison import CHALLENGER, CHALLENGER_RAW
from shared.core.evaluation.errors import TimePool, squared_errors
from tests.support.builders import a_comparison, some_forecasts


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1e6)), max_size=40))
def test_errors_of_one_moment_are_summed(errors: list[tuple[int, float]]) -> None:
    times = np.array([time for time, _ in errors], dtype=np.float64)

    pool = TimePool(times)
    sums = pool.sum(np.array([error for _, error in errors], dtype=np.float64))

    assert len(pool.moments) == len(sums) == len({time for time, _ in errors})
    assert sums.sum() == pytest.approx(sum(error for _, error in errors))


@pytest.mark.parametrize("jump", [0.001, 1000.0])
@pytest.mark.parametrize("side", ["change", "outcome"])
def test_one_absurd_candle_does_not_decide_a_pooled_skill(jump: float, side: str) -> None:
    series = some_forecasts(count=4000)
    usual = series["S0USDT"]
    absurd = getattr(usual, side).copy()
    absurd[2000] = jump - 1.0
    spoilt = {**series, "S0USDT": replace(usual, **{side: absurd})}

    for contender in (CHALLENGER, CHALLENGER_RAW):
        before, after = (a_comparison(one).skill(contender) for one in (series, spoilt))
        assert before is not None
        assert after is not None
        assert after.value == pytest.approx(before.value, abs=0.01)
        assert after.high - after.low < 2 * (before.high - before.low)


def test_a_forecast_that_is_absurd_at_every_candle_is_far_below_zero() -> None:
    outcomes = np.random.default_rng(1).normal(size=1000)
    errors = squared_errors(np.full(1000, -50.0), outcomes, np.ones(1000))

    assert errors.sum() > 50 * (outcomes**2).sum()
