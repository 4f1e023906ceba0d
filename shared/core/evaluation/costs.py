"""What is left of forecasts after the costs of acting on them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import Float64s
from shared.core.evaluation.errors import TimePool, bounded
from shared.core.evaluation.forecasts import ForecastSeries
from shared.core.evaluation.scored_candles import ScoredCandles
from shared.core.evaluation.skill_score import (
    STANDARD_ERRORS_OF_95_PERCENT,
    long_run_variance,
    probability_above,
)

Fill: TypeAlias = Literal["last close", "traded next", "first trade"]
"""Where a position is taken, from the most to the least flattering.

    last close    at the close that the forecast starts from, whether or not anyone trades there
    traded next   at that close too, but only where the next candle traded; elsewhere positions stay
    first trade   only where the next candle traded, at its open: its first trade
"""
FILLS: Final[tuple[Fill, ...]] = ("last close", "traded next", "first trade")
DEFAULT_COSTS: Final = (0.0, 0.0002, 0.001)  # fractions: none, a large account's, the list price


@dataclass(frozen=True, slots=True)
class NetReturn:
    """Mean returns per candle, as fractions, with the net one's 95 % interval."""

    cost: float  # of a change of position by one, a fraction
    fill: Fill
    gross: float
    net: float
    low: float
    high: float
    p: float  # the probability of at least this much if the true mean were zero (one-sided)
    turnover: float  # changes of position per candle; from long to short is two
    exposure: float  # share of candles with a position
    n: int  # candles


@dataclass(frozen=True, slots=True, eq=False)
class _Trades:
    """A symbol's positions and returns at the candles that count: arrays (n,)."""

    times_ms: Float64s
    position: Float64s
    turnover: Float64s
    gross: Float64s


def net_returns(
    symbols: Sequence[tuple[ForecastSeries, ScoredCandles]],
    costs: Iterable[float] = DEFAULT_COSTS,
) -> list[NetReturn]:
    """Compute what positions by calibrated forecasts return, at each cost and way to fill.

    The position is the sign of the calibrated change where that exceeds the cost; elsewhere it is
    closed. Every change of it costs. A symbol is as large a position as another, and all of a
    moment are one sample. Changes beyond 8 volatilities count as 8, gains and losses alike. Impact
    and the depth of the book are not modelled.

    Args:
        symbols: each symbol's forecasts, and the same candles.
        costs: of a change of position by one, fractions of its value.
    """
    return [_net_return(symbols, cost, fill) for cost in costs for fill in FILLS]


def _net_return(
    symbols: Sequence[tuple[ForecastSeries, ScoredCandles]], cost: float, fill: Fill
) -> NetReturn:
    trades = [_trade(series, candles, cost, fill) for series, candles in symbols]
    times, position, turnover, gross = (
        np.concatenate([np.empty(0), *(getattr(one, name) for one in trades)])
        for name in ("times_ms", "position", "turnover", "gross")
    )
    n = len(times)
    if n < 2:
        return NetReturn(cost, fill, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, n)
    moments = TimePool(times).sum(gross - cost * turnover)
    net, error = float(moments.sum()) / n, sqrt(long_run_variance(moments) * len(moments)) / n
    reach = STANDARD_ERRORS_OF_95_PERCENT * error
    return NetReturn(
        cost,
        fill,
        gross=float(gross.mean()),
        net=net,
        low=net - reach,
        high=net + reach,
        p=probability_above(net, error) if error else float(net <= 0.0),
        turnover=float(turnover.mean()),
        exposure=float(np.abs(position).mean()),
        n=n,
    )


def _trade(series: ForecastSeries, candles: ScoredCandles, cost: float, fill: Fill) -> _Trades:
    is_known = np.isfinite(series.outcome)
    can_trade = is_known & (candles.is_traded | (fill == "last close"))
    position = _positions(np.where(is_known, series.calibrated, 0.0), cost, can_trade | ~is_known)
    before = _positions_before(position, series.open_time_ms)
    change = position - before
    outcome = _bounded_change(series.outcome, candles.volatility)
    gross = position * outcome
    if fill == "first trade":
        # What the price has moved until the first trade is missed by what is bought there.
        gross -= change * _bounded_change(candles.first_change, candles.volatility)
    counts = can_trade | (change != 0.0)  # a position is closed at a gap, at the last close
    return _Trades(
        series.open_time_ms[counts], position[counts], np.abs(change)[counts], gross[counts]
    )


def _positions(changes: Float64s, cost: float, can_trade: NDArray[np.bool_]) -> Float64s:
    """Return the position (n,) at each candle: 1 long, -1 short, 0 flat.

    Where nothing trades, the position is that of the last candle that traded.
    """
    wanted = np.sign(changes) * (np.abs(changes) > cost)
    last = np.maximum.accumulate(np.where(can_trade, np.arange(len(changes)), -1))
    return np.where(last >= 0, wanted[last], 0.0)


def _positions_before(position: Float64s, times_ms: Float64s) -> Float64s:
    """Return the position (n,) before each candle: flat where the candle before is missing."""
    step_ms = np.diff(times_ms).min(initial=np.inf)
    follows = np.diff(times_ms) == step_ms
    return np.concatenate([np.zeros(len(position[:1])), np.where(follows, position[:-1], 0.0)])


def _bounded_change(changes: Float64s, volatility: Float64s) -> Float64s:
    known = np.where(np.isfinite(changes), changes, 0.0)
    return bounded(known / volatility) * volatility
