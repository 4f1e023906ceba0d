"""Skill, calibration and errors of one symbol's past forecasts."""

import numpy as np
import pytest

from services.dashboard.history.figures import (
    FEWEST_OUTCOMES,
    SKILL_OUTCOMES,
    calibration,
    errors_of_last_day,
    running_skill,
)
from services.dashboard.history.time_range import TimeRange
from shared.core.arrays import Float64s
from shared.core.evaluation.errors import squared_errors
from shared.core.evaluation.forecasts import ForecastSeries
from shared.core.evaluation.skill_score import skill_score
from tests.support.builders import START_MS, STEP_MS, some_forecasts

EVERYTHING = TimeRange()


def forecasts(count: int, realised: float = 0.5) -> tuple[ForecastSeries, Float64s]:
    (series,) = some_forecasts(1, count, realised=realised).values()
    return series, np.full(count, 2e-3)


def test_the_last_value_of_the_skill_is_that_of_the_newest_outcomes() -> None:
    series, scales = forecasts(400)

    skill = running_skill(series, scales, EVERYTHING)

    newest = slice(-SKILL_OUTCOMES, None)
    expected = skill_score(
        squared_errors(series.calibrated, series.outcome, scales)[newest],
        squared_errors(np.zeros(400), series.outcome, scales)[newest],
    )
    assert expected is not None
    values = [skill[name][-1] for name in ("value", "low", "high")]
    assert values == [expected.value, expected.low, expected.high]
    assert skill["open_time_ms"][-1] == series.open_time_ms[-1]


def test_the_skill_of_a_range_is_that_of_the_whole_within_it() -> None:
    series, scales = forecasts(400)
    span = TimeRange(START_MS + 300 * STEP_MS, START_MS + 350 * STEP_MS)

    whole = running_skill(series, scales, EVERYTHING)
    part = running_skill(series, scales, span)

    at = [i for i, time_ms in enumerate(whole["open_time_ms"]) if time_ms in span]
    assert len(at) == 50
    assert part == {name: [values[i] for i in at] for name, values in whole.items()}


def test_a_long_skill_has_a_bounded_number_of_values_up_to_the_newest() -> None:
    series, scales = forecasts(5_000)

    times = running_skill(series, scales, EVERYTHING)["open_time_ms"]

    assert 300 < len(times) <= 600
    assert times[-1] == series.open_time_ms[-1]
    assert len(set(np.diff(times).tolist())) == 1


def test_too_few_outcomes_have_neither_skill_nor_calibration() -> None:
    series, scales = forecasts(FEWEST_OUTCOMES - 1)

    assert running_skill(series, scales, EVERYTHING)["value"] == []
    assert calibration("BTCUSDT", series) == []


def test_calibrated_forecasts_are_realised() -> None:
    series, _ = forecasts(50_000, realised=0.5)

    bins = calibration("BTCUSDT", series)

    assert len(bins) == 10
    assert sum(one["n"] for one in bins) == 50_000
    for one in bins:
        assert one["low"] < one["realised"] < one["high"]
        assert one["realised"] == pytest.approx(one["predicted"], abs=1e-4)


def test_the_errors_are_those_of_the_newest_day() -> None:
    series, _ = forecasts(400)

    errors = errors_of_last_day(series, EVERYTHING)

    assert len(errors["model"]) == 288
    assert errors["open_time_ms"][-1] == series.open_time_ms[-1]
    assert errors["zero"][-1] == abs(series.outcome[-1])
    assert errors["model"][-1] == abs(series.calibrated[-1] - series.outcome[-1])


def test_a_range_without_outcomes_has_no_errors() -> None:
    series, _ = forecasts(20)

    errors = errors_of_last_day(series, TimeRange(0, START_MS))

    assert errors == {"open_time_ms": [], "model": [], "zero": []}
