"""Past predictions of one symbol beside their outcomes. PURE."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import nan
from typing import Final, NamedTuple

import numpy as np

from services.dashboard.history.candle_timeline import Bar
from services.dashboard.history.time_range import TimeRange
from shared.core.arrays import Float64s
from shared.core.evaluation.forecasts import ForecastSeries
from shared.core.online.prediction import Prediction

Bounds = tuple[float | None, float | None]

_NO_BOUNDS: Final[Bounds] = (None, None)
SHOWN_COVERAGES: Final = (50, 90)  # per cent


class PastPrediction(NamedTuple):
    """What is shown of a prediction. Changes are fractions of `close`, the close before."""

    open_time_ms: int
    close: float
    predicted_change: float
    change_scale: float
    calibrated_change: float
    calibrated_close: float
    bounds_50: Bounds
    bounds_90: Bounds
    is_actionable: bool
    model_version: str
    steps: int
    promotion_offset: int

    def outcome_change(self, bars: Mapping[int, Bar]) -> float:
        """Return the change to the close of the predicted candle; NaN if there is none."""
        bar = bars.get(self.open_time_ms)
        return nan if bar is None or not self.close > 0.0 else bar.close / self.close - 1.0

    def is_hit(self, bars: Mapping[int, Bar]) -> bool | None:
        """Return whether the direction was right; None without a forecast, outcome or move."""
        product = self.calibrated_change * self.outcome_change(bars)
        return product > 0.0 if abs(product) > 0.0 else None

    def is_inside(self, bars: Mapping[int, Bar]) -> bool | None:
        """Return whether the outcome lies within the 90 % bounds; None without either."""
        bar, (lower, upper) = bars.get(self.open_time_ms), self.bounds_90
        return (
            None if bar is None or lower is None or upper is None else lower <= bar.close <= upper
        )


class PromotionMark(NamedTuple):
    """The first candle that a promoted version predicts."""

    open_time_ms: int
    model_version: str


def to_past(prediction: Prediction) -> PastPrediction:
    """Return what is shown of a prediction."""
    p = prediction
    bounds = {one.coverage: (one.lower_close, one.upper_close) for one in p.intervals}
    bounds_50, bounds_90 = (bounds.get(coverage, _NO_BOUNDS) for coverage in SHOWN_COVERAGES)
    return PastPrediction(
        p.open_time_ms,
        p.close,
        p.predicted_change,
        p.change_scale,
        p.calibrated_change,
        p.calibrated_close,
        bounds_50,
        bounds_90,
        p.actionable,
        p.model_version,
        p.steps,
        p.promotion_offset,
    )


def in_time_order(predictions: Iterable[PastPrediction]) -> list[PastPrediction]:
    """Return predictions by open time; of two of the same candle, the first."""
    by_time: dict[int, PastPrediction] = {}
    for prediction in predictions:
        by_time.setdefault(prediction.open_time_ms, prediction)
    return [by_time[time_ms] for time_ms in sorted(by_time)]


def promotion_marks(
    predictions: Sequence[PastPrediction], span: TimeRange, *, is_whole: bool
) -> list[PromotionMark]:
    """Return the promotions in a range of time.

    Args:
        predictions: in time order; those before the range tell whether its first is a promotion.
        span: the range.
        is_whole: the first prediction is the symbol's first at all, so it is a promotion's.
    """
    first = predictions[:1] if is_whole else ()
    after = (b for a, b in pairwise(predictions) if a.promotion_offset != b.promotion_offset)
    return [
        PromotionMark(one.open_time_ms, one.model_version)
        for one in (*first, *after)
        if one.open_time_ms in span
    ]


def to_series(
    predictions: Sequence[PastPrediction], bars: Mapping[int, Bar]
) -> tuple[ForecastSeries, Float64s]:
    """Return the forecasts whose outcomes are known, and their change scales (n,)."""
    rows = [
        (
            float(one.open_time_ms),
            one.predicted_change,
            one.calibrated_change,
            one.outcome_change(bars),
            one.change_scale,
        )
        for one in predictions
        if one.change_scale > 0.0
    ]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 5)
    known = columns[np.isfinite(columns).all(axis=1)].T
    return ForecastSeries(*known[:4]), known[4]
