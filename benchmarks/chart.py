"""Figures as a chart."""

from collections.abc import Sequence

from benchmarks.result import Result
from shared.reporting.charts import bar_chart


def draw_bars(title: str, results: Sequence[Result]) -> str:
    """Draw figures above zero as an SVG document; empty if there are none.

    What all of them measure, before the comma of their names, is left to the title.
    """
    rows = [
        (one.what.partition(", ")[2], one.figure, f"{one.figure:.3g} {one.unit}")
        for one in results
        if one.figure
    ]
    if not rows:
        return ""
    svg = bar_chart(title, rows)
    # A document of its own, unlike an element of a page, has to name its namespace.
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"
