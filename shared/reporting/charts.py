"""Charts as inline SVG, drawn by matplotlib without its global state."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC
from html import escape
from io import StringIO
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from shared.core.arrays import Float64s
from shared.core.evaluation.comparison import CalibrationBin
from shared.core.evaluation.report import Curve, SymbolSkills
from shared.core.evaluation.skill_score import Skill

COLOURS: Final = ("#2f81f7", "#c9510c", "#8957e5", "#1f883d", "#d1242f", "#6e7781")
MAX_POINTS: Final = 500  # of a line: more cannot be told apart

_BETTER, _WORSE, _UNDECIDED = COLOURS[3], COLOURS[4], COLOURS[5]
_DASHES: Final = ("-", "--", ":", "-.", (0, (4, 2)), (0, (1, 2)))  # readable without colours too
_GREY: Final = "#57606a"
_WIDTH_IN: Final = 5.4
_HEIGHT_IN: Final = 3.4
_ROW_IN: Final = 0.21
_MS_PER_DAY: Final = 86_400_000.0

_SETTINGS: Final[Any] = {
    "svg.fonttype": "none",  # text stays text: it can be selected, searched and read aloud
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d8dee4",
    "legend.frameon": False,
}
_NO_METADATA: Final = {"Date": None, "Creator": None, "Format": None, "Type": None}

AxisFormat = Callable[[Axis], None]
"""Sets where an axis has ticks, and their texts."""


def times(axis: Axis) -> None:
    """Format an axis of times in UTC."""
    locator = AutoDateLocator(tz=UTC, minticks=3, maxticks=6)
    axis.set_major_locator(locator)
    axis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))


def percents(axis: Axis) -> None:
    """Format an axis of fractions as percentages."""
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(PercentFormatter(xmax=1.0))


def whole_numbers(axis: Axis) -> None:
    """Format an axis of whole numbers."""
    axis.set_major_locator(MaxNLocator(6, integer=True))


def numbers(axis: Axis) -> None:
    """Format an axis of numbers."""
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def line_chart(
    title: str,
    curves: Sequence[Curve],
    x_format: AxisFormat,
    y_format: AxisFormat,
    mark: tuple[float, str] | None = None,
) -> str:
    """Draw curves; the legend lists the one that ends highest first.

    Args:
        title: the text alternative of the chart.
        curves: the curves, at least one. With `times` as the format, x is in ms since 1970.
        x_format: formats the lower axis.
        y_format: formats the left axis.
        mark: a vertical line at an x, and its text.
    """

    def draw(axes: Axes) -> None:
        x_scale = _MS_PER_DAY if x_format is times else 1.0
        for curve in sorted(curves, key=lambda curve: -curve.y[-1]):
            x, y = _thin(curve)
            colour, dashes = (c[curve.style % len(c)] for c in (COLOURS, _DASHES))
            axes.plot(x / x_scale, y, color=colour, linestyle=dashes, label=curve.name)
            axes.plot(x[-1:] / x_scale, y[-1:], "o", color=colour, markersize=4)
        axes.axhline(0.0, color=_GREY, linewidth=0.8)
        if mark is not None:
            axes.axvline(mark[0] / x_scale, color=_GREY, linestyle="--", linewidth=1)
            axes.annotate(mark[1], (mark[0] / x_scale, 1.0), (3, -9), **_IN_POINTS)
        x_format(axes.xaxis)
        y_format(axes.yaxis)

    return _draw(title, draw, _HEIGHT_IN)


def calibration_chart(title: str, bins: Sequence[CalibrationBin]) -> str:
    """Draw mean outcomes over mean forecasts, raw and calibrated, with standard errors."""

    def draw(axes: Axes) -> None:
        outcomes, errors = [one.outcome for one in bins], [one.error for one in bins]
        series = (
            ("calibrated", "o", [one.calibrated for one in bins]),
            ("raw", "s", [one.raw for one in bins]),
        )
        for colour, (name, marker, forecasts) in zip(COLOURS, series, strict=False):
            axes.errorbar(
                forecasts, outcomes, errors, fmt=marker, color=colour, markersize=4, label=name
            )
        ends = [min(min(s[2]) for s in series), max(max(s[2]) for s in series)]
        axes.plot(ends, ends, "--", color=_GREY, linewidth=1, label="outcome = forecast")
        axes.set_xlabel("mean forecast, in volatilities")
        axes.set_ylabel("mean outcome")

    return _draw(title, draw, _HEIGHT_IN)


def interval_chart(title: str, rows: SymbolSkills) -> str:
    """Draw skills with their 95 % intervals, one row a symbol, the first on top."""

    def draw(axes: Axes) -> None:
        for at, (_, skill) in enumerate(rows):
            colour = _interval_colour(skill)
            axes.plot([skill.low, skill.high], [at, at], color=colour, linewidth=2)
            axes.plot(skill.value, at, "o", color=colour, markersize=5)
            axes.annotate(
                f"{skill.value:+.3%}", (1.0, at), (4, -3), **_IN_POINTS | {"xycoords": _RIGHT}
            )
        axes.axvline(0.0, color=_GREY, linewidth=0.8)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        percents(axes.xaxis)

    return _draw(title, draw, len(rows) * _ROW_IN + 0.5)


def bar_chart(title: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """Draw named values above zero as bars on a logarithmic scale, each with its text."""

    def draw(axes: Axes) -> None:
        for at, (_, value, text) in enumerate(rows):
            axes.barh(at, value, color=COLOURS[0], height=0.7)
            axes.annotate(text, (value, at), (4, -3), textcoords="offset points")
        axes.set_xscale("log")
        axes.margins(x=0.2)
        axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")

    return _draw(title, draw, len(rows) * _ROW_IN + 0.5)


# A point of an axes' own frame (1.0 is its top or right end), and an offset from it in points.
_TOP: Final = ("data", "axes fraction")
_RIGHT: Final = ("axes fraction", "data")
_IN_POINTS: Final[dict[str, Any]] = {"xycoords": _TOP, "textcoords": "offset points"}


def _draw(title: str, draw: Callable[[Axes], None], height_in: float) -> str:
    # The salt makes the ids of a chart differ from those of another one on the same page, and be
    # the same at every run.
    with mpl.rc_context(_SETTINGS | {"svg.hashsalt": title}):
        figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower left", ncols=2)
        svg = StringIO()
        figure.savefig(svg, format="svg", metadata=_NO_METADATA)
    return _inline(svg.getvalue(), title)


def _inline(document: str, title: str) -> str:
    """Turn an SVG document into an element of an HTML page, with a text alternative."""
    view_box = re.findall(r'viewBox="[^"]*"', document)[0]
    body = document[document.index("</style>") :].split("</defs>", 1)[1]
    body = re.sub(r' id="[\w.]+_\d+"', "", body)  # numbers that repeat in every chart
    body = body.replace("xlink:href", "href")
    text = escape(title)
    return f'<svg {view_box} role="img" aria-label="{text}"><title>{text}</title>{body}'


def _thin(curve: Curve) -> tuple[Float64s, Float64s]:
    """Select at most MAX_POINTS points, the first and the last among them."""
    count = min(len(curve.x), MAX_POINTS)
    chosen = np.unique(np.linspace(0, len(curve.x) - 1, count).astype(np.int64))
    return curve.x[chosen], curve.y[chosen]


def _interval_colour(skill: Skill) -> str:
    if skill.low > 0:
        return _BETTER
    return _WORSE if skill.high < 0 else _UNDECIDED
