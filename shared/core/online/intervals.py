"""Bounds of a symbol's next close: a volatility forecast times quantiles, both kept online."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from shared.core.model.interval_settings import IntervalSettings
from shared.core.online.interval_scores import COVERAGES, IntervalScores
from shared.core.online.quantiles import Quantiles, order, step_size, track
from shared.core.online.volatility import Volatility, change_of, fold_candle, start_volatility

_LEAST_CHANGE: Final = -0.99  # so that every bound is a close above 0
_LARGEST_CHANGE: Final = 1e6


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of the next close that hold it `coverage` per cent of the time.

    The bounds belong to the interval: an outcome that equals one is covered.
    """

    coverage: int
    lower_change: float  # of the close before, a fraction
    upper_change: float
    lower_close: float
    upper_close: float


@dataclass(frozen=True, slots=True)
class IntervalState:
    """What a symbol's candles have taught about the size of its changes."""

    volatility: Volatility
    outcomes: int  # that the quantiles have learnt from
    quantiles: Quantiles  # of (change - centre) / volatility forecast
    constant: Quantiles  # of change / its plain mean: constant volatility, for comparison
    exponential: Quantiles  # of change / its exponentially weighted mean, for comparison
    scores: IntervalScores = field(default_factory=IntervalScores)

    def with_volatility(self, volatility: Volatility) -> Self:
        """Return the state with another volatility; what was learnt from outcomes stays."""
        return replace(self, volatility=volatility)


def start_intervals(settings: IntervalSettings) -> IntervalState:
    """Return the state of a symbol without candles: that of the symbols of the training."""
    start = settings.quantiles
    return IntervalState(start_volatility(settings), 0, start, start, start)


def step_intervals(
    state: IntervalState,
    candle: Sequence[float],
    settings: IntervalSettings,
    step_ms: int,
    centre: float = 0.0,
    is_scored: bool = False,
) -> IntervalState:
    """Learn from the outcome that a candle brings, then fold the candle.

    Args:
        state: the state before the candle; it stays as it is.
        candle: a row of a sequence, at least up to its close.
        settings: the card's.
        step_ms: the interval; a candle across a gap is no outcome.
        centre: the calibrated change that was predicted for the candle; 0 without a prediction.
        is_scored: whether intervals were published for the candle.
    """
    change = change_of(state.volatility, candle, step_ms)
    volatility = fold_candle(state.volatility, candle, step_ms, settings)
    if change is None:
        return replace(state, volatility=volatility)
    return _learn(state, volatility, centre, change, is_scored)


def intervals(state: IntervalState, centre: float, close: float) -> tuple[Interval, ...]:
    """Return the intervals of the next close, innermost first; each holds the one before.

    Args:
        state: the state after the newest candle.
        centre: the calibrated change that is predicted, above -1.
        close: of the newest candle.
    """
    bounds = _bounds(order(state.quantiles), state.volatility.forecast, centre)
    pairs = zip(COVERAGES, reversed(bounds[:4]), bounds[4:], strict=True)
    return tuple(
        [
            Interval(coverage, lower, upper, close * (1.0 + lower), close * (1.0 + upper))
            for coverage, lower, upper in pairs
        ]
    )


def _learn(
    state: IntervalState, after: Volatility, centre: float, change: float, is_scored: bool
) -> IntervalState:
    """Return the state after an outcome; `after` is the volatility with its candle."""
    step, volatility = step_size(state.outcomes), state.volatility
    own, constant, exponential = map(order, (state.quantiles, state.constant, state.exponential))
    scores = state.scores
    if is_scored:
        scores = scores.with_outcome(
            _bounds(own, volatility.forecast, centre),
            _bounds(constant, volatility.constant),
            _bounds(exponential, volatility.exponential),
            change,
        )
    return IntervalState(
        after,
        state.outcomes + 1,
        track(state.quantiles, own, (change - centre) / volatility.forecast, step),
        track(state.constant, constant, change / volatility.constant, step),
        track(state.exponential, exponential, change / volatility.exponential, step),
        scores,
    )


def _bounds(ordered: Quantiles, unit: float, centre: float = 0.0) -> Quantiles:
    """Return quantiles of the change, within what leaves a close above 0."""
    lowest = centre + unit * ordered[0]
    highest = centre + unit * ordered[-1]
    bounds = tuple([centre + unit * quantile for quantile in ordered])
    if lowest >= _LEAST_CHANGE and highest <= _LARGEST_CHANGE:
        return bounds
    return tuple([min(max(bound, _LEAST_CHANGE), _LARGEST_CHANGE) for bound in bounds])
