"""What is left of forecasts after costs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from shared.core.arrays import Float64s
from shared.core.evaluation.costs import FILLS, Fill, NetReturn, net_returns
from shared.core.evaluation.forecasts import ForecastSeries
from shared.core.evaluation.scored_candles import ScoredCandles
from tests.support.builders import START_MS, STEP_MS

Symbol = tuple[ForecastSeries, ScoredCandles]


def a_symbol(
    calibrated: Sequence[float], outcomes: Sequence[float], volatility: float = 0.01
) -> Symbol:
    """Return a symbol whose candles all trade, first at the close before."""
    count = len(outcomes)
    times = START_MS + STEP_MS * np.arange(count, dtype=np.float64)
    changes = np.array(calibrated, dtype=np.float64)
    series = ForecastSeries(times, changes, changes, np.array(outcomes, dtype=np.float64))
    return series, ScoredCandles(
        times, np.full(count, volatility), np.zeros(count), np.ones(count, dtype=np.bool_)
    )


def left(symbol: Symbol, cost: float, fill: Fill = "last close") -> NetReturn:
    return next(one for one in net_returns([symbol], [cost]) if one.fill == fill)


def test_a_known_future_earns_each_change_and_pays_two_costs_at_a_turn() -> None:
    outcomes = [0.01, -0.02, 0.03]

    found = left(a_symbol(outcomes, outcomes), cost=0.001)

    assert found.gross == pytest.approx(0.06 / 3)
    assert found.turnover == pytest.approx((1 + 2 + 2) / 3)
    assert found.net == pytest.approx((0.06 - 0.005) / 3)
    assert (found.exposure, found.n) == (1.0, 3)


def test_a_forecast_below_the_cost_closes_the_position() -> None:
    found = left(a_symbol([0.002, 0.0009, -0.001, 0.002], [0.01, 0.01, 0.01, 0.01]), cost=0.001)

    assert found.exposure == 0.5
    assert found.turnover == pytest.approx(3 / 4)
    assert found.gross == pytest.approx(0.02 / 4)


def test_nothing_is_earned_at_the_first_trade_by_a_price_that_has_moved_by_then() -> None:
    outcomes = [0.01, 0.0, -0.01, 0.0]
    series, candles = a_symbol([0.01, 0.0, -0.01, 0.0], outcomes)
    stale = (series, replace(candles, first_change=np.array(outcomes)))

    assert left(stale, 0.0).gross == pytest.approx(0.005)
    assert left(stale, 0.0, "traded next").gross == pytest.approx(0.005)
    assert left(stale, 0.0, "first trade").gross == pytest.approx(0.0)


def test_where_the_next_candle_does_not_trade_a_position_can_be_neither_taken_nor_closed() -> None:
    series, candles = a_symbol([0.01, -0.01, 0.01, 0.01], [0.01, 0.0, 0.0, 0.02])
    traded = np.array([True, False, False, True])

    found = left((series, replace(candles, is_traded=traded)), 0.001, "traded next")

    assert found.n == 2
    assert found.turnover == pytest.approx(1 / 2)
    assert found.gross == pytest.approx(0.03 / 2)


def test_a_position_is_closed_at_a_gap_and_its_unknown_return_left_out() -> None:
    found = left(a_symbol([0.01, 0.01, 0.0], [0.02, np.nan, 0.0]), cost=0.001)

    assert found.gross == pytest.approx(0.02 / 3)
    assert found.turnover == pytest.approx(2 / 3)


@pytest.mark.parametrize("jump", [-0.999, 999.0])
def test_one_absurd_candle_counts_as_eight_volatilities(jump: float) -> None:
    found = left(a_symbol([0.01, 0.01], [jump, 0.0]), cost=0.0)

    assert abs(found.gross) == pytest.approx(0.08 / 2)


def test_symbols_that_move_together_are_one_sample() -> None:
    random = np.random.default_rng(1)
    outcomes = random.normal(scale=0.01, size=500)
    symbol = a_symbol(
        (0.1 * outcomes + random.normal(scale=0.001, size=500)).tolist(), outcomes.tolist()
    )

    alone, together = (net_returns([symbol] * count, [0.0])[0] for count in (1, 4))

    assert together.net == pytest.approx(alone.net)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))


changes = arrays.arrays(np.float64, 12, elements=st.floats(-0.5, 0.5))


@given(changes, changes, arrays.arrays(np.bool_, 12), st.floats(0.0, 0.01))
def test_net_is_gross_less_the_cost_of_the_turnover(
    calibrated: Float64s, outcomes: Float64s, traded: NDArray[np.bool_], cost: float
) -> None:
    series, candles = a_symbol(calibrated.tolist(), outcomes.tolist())
    symbol = (series, replace(candles, is_traded=traded))

    for fill in FILLS:
        found = left(symbol, cost, fill)
        assert found.net == pytest.approx(found.gross - cost * found.turnover, abs=1e-12)
        assert found.low <= found.net <= found.high
        assert found.exposure <= 1.0
        assert found.turnover <= 2.0


def test_no_candles_have_no_return() -> None:
    assert {one.n for one in net_returns([])} == {0}
