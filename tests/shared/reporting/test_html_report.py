"""A report is one page that loads nothing else."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from shared.core.evaluation.comparison import (
    CHALLENGER,
    CHALLENGER_FROZEN,
    CHAMPION,
    Comparison,
)
from shared.core.evaluation.costs import FILLS, NetReturn
from shared.core.evaluation.forecasts import SeriesBySymbol
from shared.core.evaluation.online_ridge import ONLINE_RIDGE
from shared.core.evaluation.report import ModelReport
from shared.reporting.charts import COLOURS
from shared.reporting.html_report import render_report
from tests.support.builders import a_comparison, a_comparison_before, some_forecasts

CHARTS = [
    "Squared error saved over time, by forecast",
    "Skill by symbol",
    "Mean outcome by size of the forecast",
]


def a_full_comparison() -> Comparison:
    comparison, series = a_comparison(), some_forecasts()
    comparison.add(CHALLENGER_FROZEN, series, raw=True)
    comparison.add(CHAMPION, series, raw=True)
    halved = {s: replace(one, calibrated=one.calibrated / 2) for s, one in series.items()}
    comparison.add(ONLINE_RIDGE, halved)
    return comparison


def a_full_report() -> ModelReport:
    return ModelReport(
        "v1",
        a_full_comparison(),
        "",
        (0.5, 0.4),
        (0.6, 0.5),
        (None, 0.01),
        before=a_comparison_before(),
    )


def parsed(report: ModelReport) -> ElementTree.Element:
    """Return the page as XML: every tag has to be closed."""
    return ElementTree.fromstring(render_report(report))


def charts(report: ModelReport) -> list[str | None]:
    return [chart.get("aria-label") for chart in parsed(report).iter("svg")]


def test_the_page_loads_nothing_and_has_the_decision_every_contender_and_every_symbol() -> None:
    comparison = a_full_comparison()

    html = render_report(
        ModelReport(
            "v1<b>", comparison, "Not promoted: it is no better & slower.", (0.5, 0.4), (0.6, 0.5)
        )
    )

    assert "Not promoted: it is no better &amp; slower." in html
    assert "v1<b>" not in html
    assert all(f">{name}</" in html for name in [*comparison.names, *some_forecasts()])
    assert "http" not in html
    assert not re.search(r'(src|href)="(?!#)', html)
    assert "nan" not in html


def test_each_chart_has_a_text_alternative_and_a_caption() -> None:
    report = a_full_report()

    assert charts(report) == [
        CHARTS[0],
        "Squared error saved before and after promotion",
        "Challenger against champion over time",
        "Challenger against champion by symbol",
        *CHARTS[1:],
        "Losses by epoch",
        "Online skill by epoch",
    ]
    for figure in parsed(report).iter("figure"):
        assert figure.find("svg") is not None
        assert (figure.findtext("figcaption") or "").endswith(".")


def test_without_training_or_a_champion_there_are_no_charts_of_them() -> None:
    assert charts(ModelReport("v1", a_comparison())) == CHARTS


def first_points(chart: ElementTree.Element, style: str) -> list[tuple[str, str]]:
    """Return the first two points of each path whose style has this text, as x, y, x, y."""
    paths = [path.get("d", "") for path in chart.iter("path") if style in path.get("style", "")]
    return [(path.split()[1], path.split()[4]) for path in paths if path.count("L") > 0]


def test_the_promotion_is_marked_where_the_challenger_begins() -> None:
    chart = next(
        c for c in parsed(a_full_report()).iter("svg") if "promotion" in (c.get("aria-label") or "")
    )

    ((challenger_x, _), *_) = first_points(chart, COLOURS[0])
    assert "promotion" in [text.text for text in chart.iter("text")]
    assert (challenger_x, challenger_x) in first_points(chart, "stroke-dasharray")


def test_a_page_of_nothing_scored_says_so() -> None:
    report = ModelReport("v1", a_comparison({}))

    assert "Nothing was scored." in render_report(report)
    assert charts(report) == []


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("forecast", [0.0, 1e-4])
def test_a_page_of_next_to_nothing_is_a_page(count: int, forecast: float) -> None:
    series: SeriesBySymbol = {
        symbol: replace(one, change=np.full(count, forecast), calibrated=np.full(count, forecast))
        for symbol, one in some_forecasts(symbols=1, count=count).items()
    }

    html = render_report(ModelReport("v1", a_comparison(series)))

    assert ElementTree.fromstring(html).find("body") is not None
    assert "nan" not in html


def test_many_candles_make_a_small_page() -> None:
    comparison = a_comparison(some_forecasts(symbols=4, count=40_000))

    assert len(render_report(ModelReport("v1", comparison))) < 100_000


@pytest.mark.slow
def test_the_same_report_has_the_same_bytes() -> None:
    assert render_report(a_full_report()) == render_report(a_full_report())


def test_the_champion_of_a_backtest_is_named_by_its_version() -> None:
    comparison = a_comparison()
    comparison.add("v0", some_forecasts(), raw=True)

    assert "Challenger against v0 by symbol" in charts(ModelReport("v1", comparison, champion="v0"))
    assert CHALLENGER in comparison.names


def test_the_page_says_what_is_left_after_costs_for_each_way_to_fill() -> None:
    rows = tuple(
        NetReturn(0.001, fill, 2e-4, 1e-4, 0.0, 3e-4, 0.04, 0.5, 0.25, 9) for fill in FILLS
    )

    text = "".join(parsed(replace(a_full_report(), net_returns=rows)).itertext())

    assert "After costs" in text
    assert all(fill in text for fill in FILLS)
    assert "+1.000" in text
    assert "After costs" not in "".join(parsed(a_full_report()).itertext())
