"""The candles that forecasts are scored on: when they open, volatility, and whether they trade."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import Float64s
from shared.core.evaluation.forecasts import HeldOutSpan
from shared.core.evaluation.volatility import volatility_after
from shared.core.sequence import CLOSE, OPEN, OPEN_TIME, VOLUME


@dataclass(frozen=True, slots=True, eq=False)
class ScoredCandles:
    """A symbol's candles that are forecast, arrays (n,), oldest first."""

    open_time_ms: Float64s
    volatility: Float64s  # at the moment of the forecast
    first_change: Float64s  # from the close before to the open: the first trade; NaN across a gap
    is_traded: NDArray[np.bool_]  # whether the candle has volume; false across a gap

    def at(self, times_ms: Float64s) -> "ScoredCandles":
        """Select the candles that open at these times."""
        chosen = np.isin(self.open_time_ms, times_ms)
        return ScoredCandles(
            self.open_time_ms[chosen],
            self.volatility[chosen],
            self.first_change[chosen],
            self.is_traded[chosen],
        )


def scored_candles(span: HeldOutSpan, step_ms: int) -> ScoredCandles:
    """Return the candles of a held-out span that can be forecast: those after each but the last.

    Where the candle after one is missing, its open time is that of the missing one.
    """
    now, following = span.candles[:-1], span.candles[1:]
    follows = following[:, OPEN_TIME] == now[:, OPEN_TIME] + step_ms
    return ScoredCandles(
        now[:, OPEN_TIME] + step_ms,
        compute_volatility(span.recent, span.candles, step_ms),
        np.where(follows, following[:, OPEN] / now[:, CLOSE] - 1.0, np.nan),
        follows & (following[:, VOLUME] > 0.0),
    )


def compute_volatility(before: Float64s, candles: Float64s, step_ms: int) -> Float64s:
    """Compute a symbol's volatility (n - 1,) at the moment of each forecast, as a fraction.

    Args:
        before: the candles (m, columns) before the first forecast.
        candles: the candles (n, columns) that forecasts are made at; the last one makes none,
            since its outcome is unknown.
        step_ms: the interval.
    """
    return volatility_after(np.concatenate([before, candles]), step_ms)[len(before) : -1]
