"""A backtest's report compares a model with others over the candles that all of them forecast."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from services.cli.backtest.report import BacktestReport, check_report, forecast_spans
from services.trainer.evaluate import HeldOutEvaluation
from shared.core.errors import BadSetting
from shared.core.evaluation.comparison import (
    CHALLENGER,
    CHALLENGER_FROZEN,
    CHALLENGER_RAW,
    ZERO_CHANGE,
)
from shared.core.evaluation.forecasts import learning_before, split_at
from shared.core.evaluation.online_ridge import RETURNS_RIDGE
from shared.core.evaluation.report import ModelReport
from shared.core.model.card import Bundle
from shared.core.online.start import START_CANDLES
from shared.reporting.html_report import render_report
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_bundle, a_card, a_sequence

FROM_MS = START_MS + 60 * STEP_MS
# The second symbol has a gap.
SEQUENCES = {"AUSDT": a_sequence(1), "BUSDT": np.delete(a_sequence(2), 90, axis=0)}
CHALLENGING, CHAMPION = a_bundle(), a_bundle(2)


def build_report(champion: Bundle | None = None) -> ModelReport:
    comparing = BacktestReport(CHALLENGING, champion, FROM_MS, CONTEXT)
    with Progress(disable=True) as progress:
        spans = learning_before(split_at(SEQUENCES, FROM_MS), START_CANDLES)
        forecasts = list(forecast_spans(comparing.contenders, spans, "predicting", progress))
        return comparing.build(forecasts, SEQUENCES, progress)


def test_its_forecasts_are_those_that_the_trainer_would_score() -> None:
    expected = HeldOutEvaluation(SEQUENCES, FROM_MS, 1000, 10, CONTEXT).compare(CHALLENGING, None)

    comparison = build_report().comparison

    assert comparison.names == [
        ZERO_CHANGE,
        CHALLENGER,
        CHALLENGER_RAW,
        CHALLENGER_FROZEN,
        RETURNS_RIDGE,
    ]
    assert comparison.outcomes == 59 + 57
    assert comparison.to_fields() == expected.comparison.to_fields()


def test_another_version_is_scored_after_the_promotion_and_over_as_many_candles_before() -> None:
    report = build_report(CHAMPION)

    assert report.champion == CHAMPION.version
    assert report.comparison.skill(CHALLENGER, CHAMPION.version) is not None
    assert report.before is not None
    assert report.before.names == [ZERO_CHANGE, CHAMPION.version]
    assert report.before.moments[-1] < FROM_MS
    versions = [CHALLENGING.version, CHAMPION.version]
    assert [note.split()[0] for note in report.notes] == versions
    assert "Before and after promotion" in render_report(report)


def test_versions_of_other_window_lengths_are_compared_over_the_candles_that_both_forecast() -> (
    None
):
    longer = a_bundle(2, a_card(window_length=70))

    comparison = build_report(longer).comparison

    assert comparison.moments[0] == START_MS + 70 * STEP_MS
    assert len(comparison.errors(CHALLENGER)) == len(comparison.errors(longer.version)) == 50


def test_a_model_that_has_not_seen_the_candles_has_no_note() -> None:
    unseen = replace(CHAMPION, card=replace(CHAMPION.card, trained_through_ms=START_MS))

    assert [note.split()[0] for note in build_report(unseen).notes] == [CHALLENGING.version]


@pytest.mark.parametrize("name", ["report.txt", "missing/report.html", "folder.html"])
def test_a_page_that_cannot_be_written_is_rejected_before_any_work(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder.html").mkdir()

    with pytest.raises(BadSetting, match=name):
        check_report(tmp_path / name, "")


def test_another_version_without_a_report_is_rejected(tmp_path: Path) -> None:
    check_report(tmp_path / "report.html", "v0")
    check_report(None, "")

    with pytest.raises(BadSetting, match="add --report"):
        check_report(None, "v0")
