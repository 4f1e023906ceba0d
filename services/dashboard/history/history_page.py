"""One symbol's past as the page reads it. PURE."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.dashboard.history.candle_timeline import Bar, CandleTimeline
from services.dashboard.history.figures import (
    calibration,
    errors_of_last_day,
    running_skill,
    within,
)
from services.dashboard.history.past_predictions import (
    PastPrediction,
    promotion_marks,
    to_series,
)
from services.dashboard.history.time_range import TimeRange


@dataclass(frozen=True, slots=True)
class SymbolPast:
    """What was read of a symbol: candles, and predictions in time order.

    `has_first_prediction`: its first prediction at all is among them.
    """

    symbol: str
    interval_ms: int
    candles: CandleTimeline
    predictions: Sequence[PastPrediction]
    has_first_prediction: bool


def to_fields(
    past: SymbolPast, span: TimeRange, calibrated: TimeRange | None = None
) -> dict[str, Any]:
    """Return a range of a symbol's past as plain values.

    Args:
        past: what was read; what lies before the range is used for its running skill.
        span: the range.
        calibrated: the forecasts that the calibration is of; None: those of the range.
    """
    bars, candles = past.candles.bars, past.candles
    series, scales = to_series(past.predictions, bars)
    marks = promotion_marks(past.predictions, span, is_whole=past.has_first_prediction)
    return {
        "symbol": past.symbol,
        "interval_ms": past.interval_ms,
        "candles": _candle_columns(candles.times(span), bars),
        "gaps": [list(gap) for gap in candles.gaps(span)],
        "statuses": [
            {"time_ms": one.time_ms, "status": one.status, "reason": one.reason}
            for one in candles.statuses(span)
        ],
        "predictions": _prediction_columns(
            [one for one in past.predictions if one.open_time_ms in span], bars
        ),
        "promotions": [
            {"open_time_ms": mark.open_time_ms, "version": mark.model_version} for mark in marks
        ],
        "skill": running_skill(series, scales, span),
        "calibration": calibration(past.symbol, within(series, calibrated or span)),
        "errors": errors_of_last_day(series, span),
    }


def _candle_columns(times: Sequence[int], bars: Mapping[int, Bar]) -> dict[str, list[Any]]:
    return {
        "open_time_ms": list(times),
        "open": [bars[at].open for at in times],
        "high": [bars[at].high for at in times],
        "low": [bars[at].low for at in times],
        "close": [bars[at].close for at in times],
        "corrected": [bars[at].is_corrected for at in times],
    }


def _prediction_columns(
    predictions: Sequence[PastPrediction], bars: Mapping[int, Bar]
) -> dict[str, list[Any]]:
    outcomes = [bars.get(one.open_time_ms) for one in predictions]
    return {
        "open_time_ms": [one.open_time_ms for one in predictions],
        "base_close": [one.close for one in predictions],
        "calibrated_close": [one.calibrated_close for one in predictions],
        "lower_50": [one.bounds_50[0] for one in predictions],
        "upper_50": [one.bounds_50[1] for one in predictions],
        "lower_90": [one.bounds_90[0] for one in predictions],
        "upper_90": [one.bounds_90[1] for one in predictions],
        "actionable": [one.is_actionable for one in predictions],
        "outcome_close": [None if bar is None else bar.close for bar in outcomes],
        "hit": [one.is_hit(bars) for one in predictions],
        "inside": [one.is_inside(bars) for one in predictions],
        "version": [one.model_version for one in predictions],
        "steps": [one.steps for one in predictions],
    }
