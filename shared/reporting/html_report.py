"""Render a report on a model as one HTML page that loads nothing else."""

from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shared.core.evaluation.comparison import HitRate
from shared.core.evaluation.report import ModelReport, ReportFigures, build_figures
from shared.core.evaluation.skill_score import Skill
from shared.reporting.charts import (
    calibration_chart,
    interval_chart,
    line_chart,
    numbers,
    percents,
    times,
    whole_numbers,
)

_TEMPLATES: Final = Environment(
    loader=PackageLoader("shared.reporting"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_report(report: ModelReport) -> str:
    """Render the page.

    It has the decision, the contenders beside each other, skill over time, before and after the
    promotion, against the champion, by symbol and by size of the forecast, and learning curves.
    Sections without data are left out.
    """
    figures = build_figures(report)
    return _TEMPLATES.get_template("report.html").render(
        report=report,
        figures=figures,
        charts={name: Markup(svg) for name, svg in _charts(report, figures).items()},
    )


def _charts(report: ModelReport, figures: ReportFigures) -> dict[str, str]:
    """Draw the charts that there is data for, by the names that the template uses."""
    charts = {}
    if figures.over_time:
        title = "Squared error saved over time, by forecast"
        charts["over_time"] = line_chart(title, figures.over_time, times, percents)
        charts["symbols"] = interval_chart("Skill by symbol", figures.symbols)
    if figures.calibration:
        title = "Mean outcome by size of the forecast"
        charts["calibration"] = calibration_chart(title, figures.calibration)
    if figures.losses:
        charts["losses"] = line_chart("Losses by epoch", figures.losses, whole_numbers, numbers)
    if figures.online_skills:
        title = "Online skill by epoch"
        charts["online_skills"] = line_chart(title, figures.online_skills, whole_numbers, percents)
    if figures.against_champion:
        title = f"Challenger against {report.champion}"
        charts["against_champion"] = line_chart(
            f"{title} over time", figures.against_champion, times, percents
        )
        charts["against_champion_symbols"] = interval_chart(
            f"{title} by symbol", figures.champion_symbols
        )
    if figures.promotion:
        title = "Squared error saved before and after promotion"
        mark = (float(figures.promotion[0].x[0]), "promotion")
        charts["promotion"] = line_chart(title, figures.promotion, times, percents, mark)
    return charts


def _skill(skill: Skill | None) -> str:
    return "" if skill is None else f"{skill.value:+.3%}"


def _interval(skill: Skill | None) -> str:
    return "" if skill is None else f"{skill.low:+.3%} to {skill.high:+.3%}"


def _probability(skill: Skill | None) -> str:
    return "" if skill is None else f"{skill.p:.2g}"


def _rate(hits: HitRate) -> str:
    return f"{hits.right / hits.moves:.1%}" if hits.moves else ""


def _nested(p: float | None) -> str:
    return "" if p is None else f"{p:.2g}"


def _basis_points(fraction: float) -> str:
    return f"{1e4 * fraction:+.3f}"


_TEMPLATES.filters |= {
    "basis_points": _basis_points,
    "nested": _nested,
    "skill": _skill,
    "interval": _interval,
    "probability": _probability,
    "rate": _rate,
}
