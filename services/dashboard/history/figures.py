"""How good the past forecasts of one symbol were: skill, calibration, errors. PURE."""

from typing import Any, Final

import numpy as np

from services.dashboard.history.time_range import TimeRange
from shared.core.arrays import Float64s
from shared.core.evaluation.comparison import CHALLENGER, CHALLENGER_RAW, Comparison
from shared.core.evaluation.errors import squared_errors
from shared.core.evaluation.forecasts import ForecastSeries
from shared.core.evaluation.skill_score import STANDARD_ERRORS_OF_95_PERCENT, skill_score

SKILL_OUTCOMES: Final = 288  # that a value of the running skill is of; a day of 5m
FEWEST_OUTCOMES: Final = 12  # of a skill, and of a bin of the calibration
_MOST_POINTS: Final = 600  # of the running skill
_MOST_BINS: Final = 10
_DAY_MS: Final = 86_400_000


def running_skill(series: ForecastSeries, scales: Float64s, span: TimeRange) -> dict[str, Any]:
    """Score the newest outcomes up to each moment against zero change.

    Args:
        series: forecasts with known outcomes, those before the range included.
        scales: the change scale (n,) of each.
        span: the open times to give a value for; of many, evenly chosen ones.
    """
    errors = squared_errors(series.calibrated, series.outcome, scales)
    zero_errors = squared_errors(np.zeros(len(errors)), series.outcome, scales)
    skills = [
        (int(series.open_time_ms[at]), skill)
        for at in _chosen_rows(series.open_time_ms, span)
        for rows in [slice(max(0, at + 1 - SKILL_OUTCOMES), at + 1)]
        if (skill := skill_score(errors[rows], zero_errors[rows])) is not None
    ]
    return {
        "open_time_ms": [time_ms for time_ms, _ in skills],
        "value": [skill.value for _, skill in skills],
        "low": [skill.low for _, skill in skills],
        "high": [skill.high for _, skill in skills],
    }


def calibration(symbol: str, series: ForecastSeries) -> list[dict[str, Any]]:
    """Compare forecasts of similar size with what came of them, with 95 % intervals."""
    count = min(_MOST_BINS, len(series.outcome) // FEWEST_OUTCOMES)
    if not count:
        return []
    # In fractions: a scale of one leaves changes as they are.
    comparison = Comparison({symbol: series}, {symbol: np.ones(len(series.outcome))})
    comparison.add(CHALLENGER, {symbol: series})
    comparison.add(CHALLENGER_RAW, {symbol: series}, raw=True)
    return [
        {
            "predicted": one.calibrated,
            "realised": one.outcome,
            "low": one.outcome - STANDARD_ERRORS_OF_95_PERCENT * one.error,
            "high": one.outcome + STANDARD_ERRORS_OF_95_PERCENT * one.error,
            "n": one.n,
        }
        for one in comparison.calibration_bins(count)
    ]


def errors_of_last_day(series: ForecastSeries, span: TimeRange) -> dict[str, Any]:
    """Return the absolute errors of the range's last day, beside those of zero change."""
    times = series.open_time_ms
    in_span = (times >= span.from_ms) & (times < span.until_ms)
    newest_ms = times[in_span][-1] if in_span.any() else 0.0
    at = in_span & (times > newest_ms - _DAY_MS)
    return {
        "open_time_ms": times[at].astype(np.int64).tolist(),
        "model": np.abs(series.calibrated[at] - series.outcome[at]).tolist(),
        "zero": np.abs(series.outcome[at]).tolist(),
    }


def within(series: ForecastSeries, span: TimeRange) -> ForecastSeries:
    """Select the forecasts of a range of time."""
    times = series.open_time_ms
    return series.at(times[(times >= span.from_ms) & (times < span.until_ms)])


def _chosen_rows(times_ms: Float64s, span: TimeRange) -> list[int]:
    """Return the rows in a range that have outcomes enough before them, at most so many."""
    first = max(int(np.searchsorted(times_ms, span.from_ms)), FEWEST_OUTCOMES - 1)
    last = int(np.searchsorted(times_ms, min(span.until_ms, 2**62))) - 1
    if last < first:
        return []
    stride = -(-(last + 1 - first) // _MOST_POINTS)
    return list(range(last, first - 1, -stride))[::-1]
