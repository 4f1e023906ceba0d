"""The results of a backtest beyond its scores: after costs, and beside forecasts of anyone's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from services.cli.backtest.forecast_file import OutsideForecasts
from services.cli.backtest.output import scores_table, scores_to_fields
from shared.core.errors import BadSetting, Unknown
from shared.core.evaluation.actionable import ActionableSummary, summarise_actionable
from shared.core.evaluation.comparison import CHALLENGER, Comparison
from shared.core.evaluation.contenders import Contenders, SymbolForecasts, backtests_of
from shared.core.evaluation.costs import NetReturn
from shared.core.evaluation.interval_summary import IntervalSummary, summarise_intervals
from shared.core.evaluation.outside import MatchedForecasts, match_forecasts
from shared.core.online.scores import Scores
from shared.reporting.tables import (
    actionable_line,
    comparison_lines,
    comparison_table,
    intervals_table,
    net_returns_table,
)


def parse_costs(text: str) -> tuple[float, ...]:
    """Parse costs in basis points, comma-separated, into fractions.

    Raises:
        BadSetting: one is no number from 0 to below 10,000.
    """
    try:
        costs = tuple(float(one) / 10_000 for one in text.split(","))
    except ValueError as error:
        raise BadSetting(f"--costs-bp is {text!r}: {error}") from error
    if not all(0.0 <= one < 1.0 for one in costs):
        raise BadSetting(f"--costs-bp is {text!r}; each must be from 0 to below 10,000")
    return costs


@dataclass(frozen=True, slots=True, eq=False)
class BacktestResults:
    """A backtest's scores by symbol, and net returns by contender."""

    scores: Mapping[str, Scores]
    net_returns: Mapping[str, list[NetReturn]]
    actionable: ActionableSummary
    intervals: IntervalSummary | None = None
    outside: OutsideForecasts | None = None
    matched: MatchedForecasts | None = None
    comparison: Comparison | None = None  # with the forecasts from outside

    def to_fields(self) -> dict[str, Any]:
        """Return everything as plain values."""
        net = {name: [asdict(one) for one in rows] for name, rows in self.net_returns.items()}
        fields = {
            "symbols": scores_to_fields(self.scores),
            "net_returns": net,
            "intervals": self.intervals and self.intervals.to_fields(),
            "actionable": asdict(self.actionable),
        }
        return fields | self._outside_fields()

    def print(self, console: Console) -> None:
        """Print everything as tables."""
        console.print(scores_table(self.scores))
        console.print(actionable_line(self.actionable), highlight=False)
        if self.intervals is not None:
            console.print(intervals_table(self.intervals))
        if self.comparison is not None:
            console.print(comparison_table(self.comparison))
            for line in (*comparison_lines(self.comparison), *self._counts()):
                console.print(line, highlight=False, soft_wrap=True)
        for name, rows in self.net_returns.items():
            console.print(f"{name}:", highlight=False)
            console.print(net_returns_table(rows))

    def _outside_fields(self) -> dict[str, Any]:
        if self.outside is None or self.matched is None or self.comparison is None:
            return {}
        counts = {
            "rows": self.outside.rows,
            "scored": self.matched.scored,
            "missing": self.matched.missing,
            "elsewhere": self.matched.elsewhere,
        }
        return {
            "forecasts": {"name": self.outside.name, **counts},
            "comparison": self.comparison.to_fields(),
        }

    def _counts(self) -> Iterator[str]:
        if self.outside is not None and self.matched is not None:
            yield (
                f"{self.outside.name}: {self.outside.rows:,} forecasts, {self.matched.scored:,} of"
                f" them scored; {self.matched.missing:,} candles that the model forecast have none"
                f" and are left out for both; {self.matched.elsewhere:,} are of other candles"
            )


def build_results(
    scores: Mapping[str, Scores],
    contenders: Contenders,
    forecasts: Sequence[SymbolForecasts],
    costs: tuple[float, ...],
    outside: OutsideForecasts | None,
) -> BacktestResults:
    """Compute what is left after costs, and compare with forecasts from outside if there are any.

    Raises:
        Unknown: no forecast from outside is of a candle that the model forecasts.
    """
    backtests = backtests_of(CHALLENGER, forecasts)
    flags, intervals = summarise_actionable(backtests), summarise_intervals(backtests)
    if outside is None:
        net = contenders.net_returns(forecasts, costs)
        return BacktestResults(scores, {CHALLENGER: net[CHALLENGER]}, flags, intervals)
    matched = match_forecasts(forecasts, outside.name, outside.changes)
    if not matched.scored:
        raise Unknown(
            f"none of the {outside.rows:,} forecasts in {outside.name} is of a candle that the"
            " model forecasts: `open_time_ms` is the open time of the candle that is forecast"
        )
    net = contenders.net_returns(matched.forecasts, costs)
    chosen = {name: net[name] for name in (CHALLENGER, outside.name)}
    comparison = contenders.compare(matched.forecasts, outside.name)
    return BacktestResults(scores, chosen, flags, intervals, outside, matched, comparison)
