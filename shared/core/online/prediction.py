"""A prediction as a value, as published on the predictions topic."""

from dataclasses import dataclass

from shared.core.online.interval_scores import IntervalScores
from shared.core.online.intervals import Interval
from shared.core.online.scores import Scores


@dataclass(frozen=True, slots=True)
class Outcome:
    """A symbol's previous prediction with its outcome."""

    open_time_ms: int
    model_version: str
    predicted_change: float
    calibrated_change: float
    outcome_change: float | None  # None across a gap


@dataclass(frozen=True, slots=True)
class Prediction:
    """The expected close of the candle that opens at `open_time_ms`. Changes are fractions."""

    symbol: str
    interval: str
    open_time_ms: int
    close: float  # of the candle before, which the prediction is made from
    predicted_change: float
    predicted_close: float
    change_scale: float  # the unit of the network's output: the symbol's recent volatility
    calibration: float  # in [0, 1]: the share of predicted changes realised so far
    calibrated_change: float  # predicted_change x calibration
    calibrated_close: float
    actionable: bool  # calibrated changes have been better than zero change beyond chance
    intervals: tuple[Interval, ...]  # innermost first, around the calibrated close
    model_version: str
    steps: int  # since the promotion
    loss: float | None  # of the step just made: squared error in units of change_scale
    was_reset: bool  # that step was not finite: the symbol is back at the model's weights
    previous: Outcome | None
    scores: Scores
    interval_scores: IntervalScores
    source_offset: int  # of the candle that the prediction is made from
    promotion_offset: int
    corrections: int  # amendments and fills of the symbol's candles since the promotion
    state_digest: str | None  # of the state before the candle; None if it was not asked for
    numeric_profile: str
