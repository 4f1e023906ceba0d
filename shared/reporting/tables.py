"""Tables of a comparison and of returns after costs, for the terminal."""

from collections.abc import Iterable

from rich.table import Table

from shared.core.evaluation.actionable import ActionableSummary
from shared.core.evaluation.comparison import (
    CHALLENGER,
    CHALLENGER_FROZEN,
    ZERO_CHANGE,
    Comparison,
)
from shared.core.evaluation.costs import NetReturn
from shared.core.evaluation.interval_summary import IntervalSummary
from shared.core.online.interval_scores import COVERAGES

_FIGURES = ("outcomes", "skill", "interval of 95 %", "p", "p, nested", "worst symbol", "sign right")


def comparison_table(comparison: Comparison) -> Table:
    """Return the table of a comparison, one row a contender."""
    table = Table(
        title="Held-out candles, each forecast before it was learnt from;"
        " skill is against zero change",
        caption="p: by Diebold and Mariano; nested: by Clark and West",
    )
    table.add_column("forecast")
    for column in _FIGURES:
        table.add_column(column, justify="right")
    for name in comparison.names:
        table.add_row(name, *_figures(comparison, name))
    return table


def _figures(comparison: Comparison, name: str) -> list[str]:
    outcomes = f"{comparison.outcomes:,}"
    found, hits = comparison.skill(name), comparison.hit_rate(name)
    if found is None or name == ZERO_CHANGE:
        return [outcomes, *[""] * (len(_FIGURES) - 1)]
    worst = comparison.worst_symbol(name)
    return [
        outcomes,
        f"{100 * found.value:+.3f} %",
        f"{100 * found.low:+.3f} to {100 * found.high:+.3f} %",
        f"{found.p:.2g}",
        _probability(comparison.nested_p(name)),
        f"{100 * (worst[0] if worst else 0.0):+.3f} %",
        f"{100 * hits.right / hits.moves:.1f} %" if hits.moves else "",
    ]


def comparison_lines(comparison: Comparison) -> Iterable[str]:
    """Yield how much better the challenger is than each other contender, a line each."""
    for other in comparison.names[1:]:
        skill = comparison.skill(CHALLENGER, other)
        if skill is None or other == CHALLENGER:
            continue
        line = f"challenger against {other}: {skill.value:+.4%}{_ratio(comparison, other)}"
        line += f" (p = {skill.p:.2g}"
        if other == CHALLENGER_FROZEN:
            line += f"; nested, p = {_probability(comparison.nested_p(CHALLENGER, other))}"
        yield line + ")"


def _ratio(comparison: Comparison, other: str) -> str:
    """Return how many times the other's skill the challenger has, if both have some."""
    skills = [comparison.skill(name) for name in (CHALLENGER, other)]
    values = [0.0 if skill is None else skill.value for skill in skills]
    return f", {values[0] / values[1]:.2f} times its skill" if min(values) > 0.0 else ""


def intervals_table(intervals: IntervalSummary) -> Table:
    """Return the table of how often intervals held the next close, and how wide they were."""
    table = Table(
        title="Intervals of the next close, each published before it was known",
        caption="\n".join(interval_lines(intervals)),
        min_width=90,  # of a line of the caption
    )
    for column in ("interval", "closes within", "furthest symbol", "mean width, bp"):
        table.add_column(column, justify="right")
    for index, coverage in enumerate(COVERAGES):
        share, symbol = intervals.worst_coverage(index)
        table.add_row(
            f"{coverage} %",
            f"{intervals.coverage(index):.2%}",
            f"{symbol} {share:.2%}",
            f"{1e4 * intervals.mean_width(index):.1f}",
        )
    return table


def actionable_line(summary: ActionableSummary) -> str:
    """Return how many symbols became actionable, and how soon."""
    line = f"actionable: {summary.at_end} of {summary.symbols} symbols at the end"
    if summary.median_first is None:
        return line
    return (
        f"{line}, {summary.ever} at any time, the median after {summary.median_first:,.0f} candles"
    )


def interval_lines(intervals: IntervalSummary) -> Iterable[str]:
    """Yield how much lower the pinball loss is than each baseline's, a line each."""
    for name, skill in intervals.skills.items():
        if skill is not None:
            yield (
                f"pinball loss {skill.value:.2%} below {name}"
                f" ({skill.low:.2%} to {skill.high:.2%}, p = {skill.p:.2g})"
            )


def net_returns_table(rows: Iterable[NetReturn]) -> Table:
    """Return the table of what is left of forecasts after costs, in basis points a candle."""
    table = Table(
        title="After costs: long or short where the calibrated change exceeds the cost, else flat",
        caption="bp a candle, mean over symbols; turnover: changes of position a candle; last"
        " close: filled at the close before, stale or not; traded next: only where the next candle"
        " trades; first trade: there, at its open",
    )
    for column in ("cost, bp", "filled at", "candles", "gross", "net", "interval of 95 %", "p"):
        table.add_column(column, justify="right")
    table.add_column("turnover", justify="right")
    table.add_column("in position", justify="right")
    for row in rows:
        table.add_row(*_net_return_cells(row))
    return table


def _net_return_cells(row: NetReturn) -> list[str]:
    return [
        f"{1e4 * row.cost:g}",
        row.fill,
        f"{row.n:,}",
        *(f"{1e4 * one:+.3f}" for one in (row.gross, row.net)),
        f"{1e4 * row.low:+.3f} to {1e4 * row.high:+.3f}",
        f"{row.p:.2g}",
        f"{row.turnover:.3f}",
        f"{row.exposure:.1%}",
    ]


def _probability(p: float | None) -> str:
    return "" if p is None else f"{p:.2g}"
