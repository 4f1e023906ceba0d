"""A backtest's report compares a model with others over the candles that all of them forecast."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from services.cli.backtest_report import check_report, each, report_of
from services.cli.backtest_worker import Scoring
from services.trainer.evaluate import HeldOut, forecast, linear, volatilities
from shared.core.arrays import Float64s
from shared.core.errors import BadSetting
from shared.core.evaluation.backtest import without_online_learning
from shared.core.evaluation.comparison import (
    CANDIDATE,
    FROZEN,
    LINEAR,
    RAW,
    ZERO,
    Comparison,
    SeriesBySymbol,
)
from shared.core.model.card import Bundle
from shared.core.model.shrinkage import Shrinkage
from shared.core.sequence import candle_row
from shared.reporting.html_report import ModelReport, page
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_bundle, a_candle, a_card, a_walk

FROM_MS = START_MS + 60 * STEP_MS


def a_sequence(seed: int, missing: int = 1000) -> Float64s:
    closes = enumerate(a_walk(120, seed))
    return np.concatenate(
        [candle_row(a_candle(at, close)) for at, close in closes if at != missing]
    )


SEQUENCES = {"AUSDT": a_sequence(1), "BUSDT": a_sequence(2, missing=90)}
SCORING = Scoring(a_bundle(), FROM_MS, CONTEXT)
CHAMPION = a_bundle(2)


def tracks_of(scoring: Scoring, progress: Progress) -> SeriesBySymbol:
    return {one.symbol: one.track(STEP_MS) for one in each(scoring, SEQUENCES, "", progress)}


def reported(champion: Bundle | None = None) -> ModelReport:
    with Progress(disable=True) as progress:
        return report_of(SCORING, tracks_of(SCORING, progress), champion, SEQUENCES, progress)


def test_its_forecasts_are_those_that_the_trainer_would_score() -> None:
    parts = [
        HeldOut(symbol, sequence[:60], sequence[60:]) for symbol, sequence in SEQUENCES.items()
    ]
    tracks = forecast(SCORING.bundle, parts, CONTEXT)
    expected = Comparison(tracks, volatilities(parts, STEP_MS))
    expected.add(CANDIDATE, tracks)
    expected.add(RAW, tracks, raw=True)
    expected.add(FROZEN, forecast(without_online_learning(SCORING.bundle), parts, CONTEXT))
    expected.add(LINEAR, linear(parts, CONTEXT, Shrinkage()))

    contest = reported().contest

    assert contest.names == [ZERO, CANDIDATE, RAW, FROZEN, LINEAR]
    assert contest.outcomes == 59 + 57
    assert contest.plain() == expected.plain()


def test_another_version_is_scored_after_the_promotion_and_over_as_many_candles_before() -> None:
    report = reported(CHAMPION)

    assert report.champion == CHAMPION.version
    assert report.contest.skill(CANDIDATE, CHAMPION.version) is not None
    assert report.before is not None
    assert report.before.names == [ZERO, CHAMPION.version, LINEAR]
    assert report.before.moments()[-1] < FROM_MS
    assert [note.split()[0] for note in report.notes] == [SCORING.bundle.version, CHAMPION.version]
    assert "Before and after promotion" in page(report)


def test_versions_of_other_window_lengths_are_compared_over_the_candles_that_both_forecast() -> (
    None
):
    longer = a_bundle(2, a_card(window_length=70))

    contest = reported(longer).contest

    assert contest.moments()[0] == START_MS + 70 * STEP_MS
    assert len(contest.errors(CANDIDATE)) == len(contest.errors(longer.version)) == 50


def test_a_model_that_has_not_seen_the_candles_is_not_told_of() -> None:
    unseen = replace(CHAMPION, card=replace(CHAMPION.card, trained_through_ms=START_MS))

    assert [note.split()[0] for note in reported(unseen).notes] == [SCORING.bundle.version]


@pytest.mark.parametrize("name", ["report.txt", "missing/report.html", "folder.html"])
def test_a_page_that_could_not_be_written_is_refused_before_any_work(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder.html").mkdir()

    with pytest.raises(BadSetting, match=name):
        check_report(tmp_path / name, "")


def test_another_version_without_a_page_to_tell_of_it_is_refused(tmp_path: Path) -> None:
    check_report(tmp_path / "report.html", "v0")
    check_report(None, "")

    with pytest.raises(BadSetting, match="add --report"):
        check_report(None, "v0")
