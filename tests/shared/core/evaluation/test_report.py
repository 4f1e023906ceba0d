"""What a report shows, as plain values."""

import pytest

from shared.core.evaluation.comparison import CHALLENGER, CHAMPION, Comparison
from shared.core.evaluation.report import (
    ModelReport,
    build_figures,
    overlap_notes,
)
from tests.support.builders import STEP_MS, a_comparison, a_comparison_before, some_forecasts


def a_comparison_with_a_champion() -> Comparison:
    comparison = a_comparison()
    comparison.add(CHAMPION, some_forecasts(), raw=True)
    return comparison


def test_the_challenger_starts_at_the_promotion_where_the_champion_has_got_to() -> None:
    report = ModelReport("v1", a_comparison_with_a_champion(), before=a_comparison_before())

    challenger, champion = build_figures(report).promotion

    assert (challenger.name, champion.name) == (CHALLENGER, CHAMPION)
    assert challenger.x[0] == champion.x[400]
    assert len(challenger.x) == 400
    assert len(champion.x) == 800
    assert challenger.y[0] == pytest.approx(champion.y[400], abs=1e-3)
    assert champion.y[400] != pytest.approx(0.0, abs=1e-3)


def test_a_contender_looks_the_same_in_every_chart() -> None:
    report = ModelReport("v1", a_comparison_with_a_champion(), before=a_comparison_before())
    figures = build_figures(report)

    styles = {curve.name: curve.style for curve in figures.over_time}

    assert {curve.name: curve.style for curve in figures.promotion}.items() <= (styles.items())
    assert len(set(styles.values())) == len(styles)


def test_symbols_are_sorted_by_skill_after_all_of_them_pooled() -> None:
    (name, _), *symbols = build_figures(ModelReport("v1", a_comparison())).symbols

    values = [skill.value for _, skill in symbols]
    assert name == "all, pooled"
    assert values == sorted(values, reverse=True)
    assert {symbol for symbol, _ in symbols} == set(some_forecasts())


def test_epochs_without_an_online_skill_are_left_out_of_its_curve() -> None:
    report = ModelReport("v1", a_comparison(), "", (0.5, 0.4, 0.3), (), (None, 0.01, 0.02))

    (curve,) = build_figures(report).online_skills

    assert (curve.x.tolist(), curve.y.tolist()) == ([2.0, 3.0], [0.01, 0.02])


def test_a_model_that_was_trained_on_the_candles_it_is_scored_on_gets_a_note() -> None:
    comparison = a_comparison()
    first = int(comparison.moments[0])

    assert overlap_notes("It", first - 1, comparison) == ()
    assert overlap_notes("It", first, a_comparison({})) == ()
    assert overlap_notes("It", first + STEP_MS, comparison) == (
        "It was trained through 2025-01-01 00:05 UTC and is scored from 2025-01-01 00:00:"
        " its skill up to there is flattered.",
    )
    earlier = overlap_notes("It", first - 1, comparison, a_comparison_before())
    assert "is scored from 2024-12-30 14:40" in earlier[0]
