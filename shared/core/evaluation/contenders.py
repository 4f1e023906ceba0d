"""Forecast the same candles by several contenders, and compare them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from shared.core.evaluation.backtest import (
    ReportProgress,
    SymbolBacktest,
    run_backtest,
    without_online_learning,
)
from shared.core.evaluation.comparison import (
    CHALLENGER,
    CHALLENGER_FROZEN,
    CHALLENGER_RAW,
    CHAMPION,
    Comparison,
)
from shared.core.evaluation.costs import DEFAULT_COSTS, NetReturn, net_returns
from shared.core.evaluation.forecasts import ForecastSeries, HeldOutSpan
from shared.core.evaluation.online_ridge import RidgeBaseline, ridge_baselines
from shared.core.evaluation.scored_candles import ScoredCandles, scored_candles
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext


@dataclass(frozen=True, slots=True, eq=False)
class SymbolForecasts:
    """All contenders' forecasts of one symbol's held-out candles."""

    symbol: str
    backtests: Mapping[str, SymbolBacktest]  # by contender: those that are models
    series: Mapping[str, ForecastSeries]  # by contender: all of them
    candles: ScoredCandles


@dataclass(frozen=True, slots=True, eq=False)
class Contenders:
    """The models and the online ridge regressions to compare."""

    bundles: Mapping[str, Bundle]
    context: FoldContext
    baselines: Mapping[str, RidgeBaseline] = field(default_factory=dict)

    def events(self, spans: Iterable[HeldOutSpan]) -> int:
        """Count the candles that `forecast` reports as processed over all spans."""
        return sum(
            span.events * len(self.bundles) + len(span.sequence) * len(self.baselines)
            for span in spans
        )

    def forecast(
        self, span: HeldOutSpan, report_progress: ReportProgress = lambda _: None
    ) -> SymbolForecasts:
        """Forecast one symbol's held-out candles with every contender.

        Args:
            span: the held-out candles, with as much history as the models have seen.
            report_progress: called with the number of candles since its last call.
        """
        step_ms = self.context.interval_ms
        backtests = {
            name: run_backtest(bundle, self.context, span, report_progress)
            for name, bundle in self.bundles.items()
        }
        series = {name: one.series(step_ms) for name, one in backtests.items()}
        for name, baseline in self.baselines.items():
            series[name] = baseline.forecast(span, step_ms)
            report_progress(len(span.sequence))
        return SymbolForecasts(
            span.symbol,
            backtests,
            series,
            scored_candles(span, step_ms),
        )

    def compare(self, forecasts: Iterable[SymbolForecasts], *others: str) -> Comparison:
        """Compare the contenders over the candles that all of them forecast.

        The challenger, if there is one, takes part twice: calibrated and raw.

        Args:
            forecasts: of these contenders, by symbol.
            others: further contenders that these forecasts have.
        """
        # Sorted, since the order in which symbols are summed changes the last bits.
        common = dict(sorted((one.symbol, _at_common_times(one)) for one in forecasts))
        series = {
            name: {symbol: one.series[name] for symbol, one in common.items()}
            for name in (*self.bundles, *self.baselines, *others)
        }
        volatility = {symbol: one.candles.volatility for symbol, one in common.items()}
        comparison = Comparison(next(iter(series.values())), volatility)
        for name, by_symbol in series.items():
            comparison.add(name, by_symbol)
            if name == CHALLENGER:
                comparison.add(CHALLENGER_RAW, by_symbol, raw=True)
        return comparison

    def net_returns(
        self, forecasts: Iterable[SymbolForecasts], costs: Iterable[float] = DEFAULT_COSTS
    ) -> dict[str, list[NetReturn]]:
        """Compute what is left of each contender's forecasts after costs (fractions)."""
        common, levels = [_at_common_times(one) for one in forecasts], tuple(costs)
        ordered = sorted(common, key=lambda one: one.symbol)
        names = ordered[0].series if ordered else ()
        return {
            name: net_returns([(one.series[name], one.candles) for one in ordered], levels)
            for name in names
        }


def backtests_of(name: str, forecasts: Iterable[SymbolForecasts]) -> list[SymbolBacktest]:
    """Return a contender's backtests, those of the symbols that have one."""
    return [one.backtests[name] for one in forecasts if name in one.backtests]


def _at_common_times(forecasts: SymbolForecasts) -> SymbolForecasts:
    # Models with longer windows start later: only candles that all of them forecast are compared.
    times = reduce(np.intersect1d, [one.open_time_ms for one in forecasts.series.values()])
    return replace(
        forecasts,
        series={name: one.at(times) for name, one in forecasts.series.items()},
        candles=forecasts.candles.at(times),
    )


def challenge(
    challenger: Bundle, champion: Bundle | None, context: FoldContext, champion_name: str = CHAMPION
) -> Contenders:
    """Return the challenger, its frozen self, the champion and the online ridge regressions."""
    bundles = {CHALLENGER: challenger, CHALLENGER_FROZEN: without_online_learning(challenger)}
    if champion is not None:
        bundles[champion_name] = champion
    card = challenger.card
    return Contenders(
        bundles, context, ridge_baselines(card.feature_set, card.shrinkage, card.baskets)
    )
