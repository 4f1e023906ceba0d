"""A report is one page that needs nothing else."""

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from shared.core.evaluation.comparison import (
    CANDIDATE,
    FROZEN,
    INCUMBENT,
    LINEAR,
    Comparison,
    SeriesBySymbol,
)
from shared.reporting.html_report import ModelReport, page, seen
from tests.support.builders import STEP_MS, a_contest, some_tracks

PICTURES = [
    "Squared error saved over time, by forecast",
    "Skill by symbol",
    "Mean outcome by size of the forecast",
]


def a_promoted_contest() -> Comparison:
    contest, tracks = a_contest(), some_tracks()
    contest.add(FROZEN, tracks, raw=True)
    contest.add(INCUMBENT, tracks, raw=True)
    contest.add(
        LINEAR, {s: replace(track, calibrated=track.calibrated / 2) for s, track in tracks.items()}
    )
    return contest


def before_it() -> Comparison:
    tracks = {
        s: replace(t, open_time_ms=t.open_time_ms - 400 * STEP_MS)
        for s, t in some_tracks(seed=8).items()
    }
    contest = Comparison(tracks, {symbol: np.full(400, 2e-3) for symbol in tracks})
    contest.add(INCUMBENT, tracks, raw=True)
    return contest


def parsed(report: ModelReport) -> ElementTree.Element:
    """Return the page as XML, which its pictures have to be."""
    return ElementTree.fromstring(page(report))


def pictures(report: ModelReport) -> list[str | None]:
    return [picture.get("aria-label") for picture in parsed(report).iter("svg")]


def test_the_page_needs_nothing_else_and_tells_the_decision_every_forecast_and_every_symbol() -> (
    None
):
    contest = a_promoted_contest()

    html = page(
        ModelReport(
            "v1<b>", contest, "Not promoted: it is no better & slower.", (0.5, 0.4), (0.6, 0.5)
        )
    )

    assert "Not promoted: it is no better &amp; slower." in html
    assert "v1<b>" not in html
    assert all(f">{name}</" in html for name in [*contest.names, *some_tracks()])
    assert "http" not in html
    assert "nan" not in html


def test_each_picture_says_what_it_shows() -> None:
    report = ModelReport(
        "v1", a_promoted_contest(), "", (0.5, 0.4), (0.6, 0.5), (None, 0.01), before=before_it()
    )

    assert pictures(report) == [
        PICTURES[0],
        "Squared error saved before and after promotion",
        "Candidate against version in use over time",
        "Candidate against version in use by symbol",
        *PICTURES[1:],
        "Losses by epoch",
        "Online skill by epoch",
    ]


def test_what_was_not_trained_and_replaces_nothing_has_no_pictures_of_that() -> None:
    assert pictures(ModelReport("v1", a_contest())) == PICTURES


def test_the_promotion_is_marked_where_the_candidate_begins_and_the_version_in_use_has_got_to() -> (
    None
):
    report = ModelReport("v1", a_promoted_contest(), before=before_it())
    picture = next(
        p for p in parsed(report).iter("svg") if "promotion" in (p.get("aria-label") or "")
    )

    candidate, incumbent = (line.get("points", "").split() for line in picture.iter("polyline"))

    begins = float(candidate[0].split(",")[0])
    assert len(candidate) == 400
    assert float(incumbent[0].split(",")[0]) == 70.0
    assert begins == pytest.approx((70 + 505) / 2, abs=1.0)
    assert any(
        f'x1="{begins:.1f}"' in ElementTree.tostring(line).decode() for line in picture.iter("line")
    )
    assert float(candidate[0].split(",")[1]) == pytest.approx(
        float(incumbent[250].split(",")[1]), abs=10.0
    )


def test_a_page_of_nothing_scored_says_so() -> None:
    report = ModelReport("v1", a_contest({}))

    assert "Nothing was scored." in page(report)
    assert pictures(report) == []


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("forecast", [0.0, 1e-4])
def test_a_page_of_next_to_nothing_is_a_page(count: int, forecast: float) -> None:
    tracks: SeriesBySymbol = {
        symbol: replace(track, change=np.full(count, forecast), calibrated=np.full(count, forecast))
        for symbol, track in some_tracks(symbols=1, count=count).items()
    }

    html = page(ModelReport("v1", a_contest(tracks)))

    assert ElementTree.fromstring(html).find("body") is not None
    assert "nan" not in html


def test_many_candles_make_a_small_page() -> None:
    contest = a_contest(some_tracks(symbols=4, count=40_000))

    assert len(page(ModelReport("v1", contest))) < 100_000


def test_the_champion_of_a_backtest_goes_by_its_version() -> None:
    contest = a_contest()
    contest.add("v0", some_tracks(), raw=True)

    drawn = pictures(ModelReport("v1", contest, champion="v0"))

    assert "Candidate against v0 by symbol" in drawn
    assert CANDIDATE in contest.names


def test_a_model_that_has_seen_the_candles_it_is_scored_on_is_told_of() -> None:
    contest = a_contest()
    first = int(contest.moments()[0])

    assert seen("It", first - 1, contest) == seen("It", first, a_contest({})) == ()
    assert seen("It", first + STEP_MS, contest) == (
        "It was trained through 2025-01-01 00:05 UTC and is scored from 2025-01-01 00:00:"
        " its skill up to there is flattered.",
    )
    assert "is scored from 2024-12-30 14:40" in seen("It", first - 1, contest, before_it())[0]
