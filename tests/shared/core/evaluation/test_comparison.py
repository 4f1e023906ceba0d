"""Contenders are compared over the same candles."""

from dataclasses import replace

import numpy as np
import pytest

from shared.core.evaluation.comparison import (
    CHALLENGER,
    CHALLENGER_RAW,
    ZERO_CHANGE,
    Comparison,
)
from tests.support.builders import a_comparison, some_forecasts


def test_a_comparison_gives_every_contender_and_every_symbol_as_plain_values() -> None:
    comparison = a_comparison()

    fields = comparison.to_fields()

    assert comparison.names == [ZERO_CHANGE, CHALLENGER, CHALLENGER_RAW]
    assert comparison.outcomes == 3 * 400
    assert set(fields) == {CHALLENGER, CHALLENGER_RAW}
    assert set(fields[CHALLENGER]["symbols"]) == set(some_forecasts())


def test_a_forecast_of_other_candles_is_rejected() -> None:
    with pytest.raises(ValueError, match="other candles"):
        a_comparison().add("another", some_forecasts(count=300))


def test_a_forecast_of_the_outcome_itself_has_full_skill_and_none_against_itself() -> None:
    comparison = a_comparison()
    comparison.add(
        "oracle", {s: replace(t, calibrated=t.outcome) for s, t in some_forecasts().items()}
    )

    known, itself = comparison.skill("oracle"), comparison.skill(CHALLENGER, CHALLENGER)

    assert known is not None
    assert known.value == 1.0
    assert known.p < 1e-6
    assert comparison.hit_rate("oracle").right == comparison.hit_rate("oracle").moves
    assert itself is not None
    assert itself.value == 0.0


def test_candles_without_a_known_outcome_are_left_out() -> None:
    series = some_forecasts(symbols=1)
    known = series["S0USDT"]
    unknown = replace(known, outcome=np.where(np.arange(400) < 100, np.nan, known.outcome))

    comparison = a_comparison({"S0USDT": unknown})

    assert comparison.outcomes == 300
    assert comparison.hit_rate(CHALLENGER).moves == 300


def test_nothing_held_out_gives_no_skill() -> None:
    comparison = Comparison({}, {})
    comparison.add(CHALLENGER, {})

    assert comparison.skill(CHALLENGER) is None


def test_cumulative_skill_ends_at_the_skill_and_rises_steadily() -> None:
    comparison = a_comparison(some_forecasts(count=20_000))

    saved, found = comparison.cumulative_skill(CHALLENGER), comparison.skill(CHALLENGER)

    assert found is not None
    assert len(saved) == len(comparison.moments) == 20_000
    assert saved[-1] == pytest.approx(found.value)
    assert saved[10_000] == pytest.approx(found.value / 2, rel=0.15)


def test_bins_hold_each_forecast_once_and_show_that_raw_ones_are_twice_too_large() -> None:
    bins = a_comparison(some_forecasts(count=4000)).calibration_bins()

    assert [one.n for one in bins] == [1200] * 10
    assert [one.raw for one in bins] == sorted(one.raw for one in bins)
    assert all(abs(one.outcome - one.calibrated) < 4 * one.error for one in bins)
    assert abs(bins[0].outcome - bins[0].raw) > 4 * bins[0].error


def test_symbols_that_move_together_do_not_lower_the_error_of_a_bin() -> None:
    series = some_forecasts(symbols=1)["S0USDT"]

    alone, together = a_comparison({"A": series}), a_comparison(dict.fromkeys("ABCD", series))

    errors = [
        [one.error for one in comparison.calibration_bins()] for comparison in (alone, together)
    ]
    assert errors[1] == pytest.approx(errors[0])


def test_the_skill_of_a_symbol_is_that_of_its_own_candles() -> None:
    series = some_forecasts()
    alone = a_comparison({"S1USDT": series["S1USDT"]})

    assert a_comparison(series).symbol_skill(CHALLENGER, "S1USDT", CHALLENGER_RAW) == alone.skill(
        CHALLENGER, CHALLENGER_RAW
    )
