"""Evaluate a challenger and the champion on held-out candles, on all processors."""

import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from services.trainer.fitting.options import FitResult
from services.trainer.promotion_policy import PromotionDecision
from shared.core.arrays import Float64s
from shared.core.evaluation.backtest import ReportProgress
from shared.core.evaluation.comparison import CHALLENGER, CHAMPION, Comparison
from shared.core.evaluation.contenders import (
    Contenders,
    SymbolForecasts,
    backtests_of,
    challenge,
)
from shared.core.evaluation.costs import NetReturn
from shared.core.evaluation.forecasts import (
    HeldOutSpan,
    hold_out,
    hold_out_before,
    learning_before,
    with_full_windows,
)
from shared.core.evaluation.interval_summary import IntervalSummary, summarise_intervals
from shared.core.evaluation.report import ModelReport, overlap_notes
from shared.core.evaluation.skill_score import Skill
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext
from shared.core.online.start import START_CANDLES
from shared.reporting.progress import track_count

T = TypeVar("T")

log = logging.getLogger(__name__)


def map_spans(
    work: Callable[[HeldOutSpan, ReportProgress], T],
    spans: list[HeldOutSpan],
    report_progress: ReportProgress = lambda _: None,
    threads: int | None = None,
) -> list[T]:
    """Do the same work for every span, one symbol a thread, and return the results in order.

    The kernel releases the interpreter lock, so backtests run side by side; the number of threads
    changes no forecast.

    Args:
        work: given a span and `report_progress`.
        spans: the held-out candles.
        report_progress: called from all threads; raise from it to abort.
        threads: all processors by default.
    """
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        return list(pool.map(lambda span: work(span, report_progress), spans))


def forecast_with_progress(
    contenders: Contenders,
    spans: list[HeldOutSpan],
    stoppable: Callable[[ReportProgress], ReportProgress] = lambda report: report,
) -> list[SymbolForecasts]:
    """Forecast every span with all contenders and show the progress.

    `stoppable` wraps the progress report, to raise from it when the process is asked to stop.
    """
    with track_count("scoring", contenders.events(spans)) as advance:
        return map_spans(contenders.forecast, spans, stoppable(advance))


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutScores:
    """Forecasts of the held-out candles, compared, and what is left of them after costs."""

    comparison: Comparison
    net_returns: Mapping[str, list[NetReturn]]  # by contender
    intervals: IntervalSummary | None  # the challenger's


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutEvaluation:
    """Compares a challenger with the champion on the candles that training has not seen."""

    sequences: Mapping[str, Float64s]  # candles (n, columns) by symbol
    from_ms: int  # the open time of the first held-out candle
    max_candles: int
    max_symbols: int
    context: FoldContext
    stoppable: Callable[[ReportProgress], ReportProgress] = lambda report: report

    def compare(self, challenger: Bundle, champion: Bundle | None) -> HeldOutScores:
        """Compare the challenger with its frozen self, the champion and online ridge ones."""
        if champion is not None and champion.card.trained_through_ms >= self.from_ms:
            log.warning("the champion was trained on some of the held-out candles")
        spans = hold_out(self.sequences, self.from_ms, self.max_candles, self.max_symbols)
        return self._compare(challenge(challenger, champion, self.context), spans)

    def score_before(self, champion: Bundle, symbols: list[str]) -> HeldOutScores:
        """Score the champion over as many candles right before the held-out ones."""
        sequences = {symbol: self.sequences[symbol] for symbol in symbols}
        spans = hold_out_before(sequences, self.from_ms, self.max_candles, self.context.interval_ms)
        return self._compare(Contenders({CHAMPION: champion}, self.context), spans)

    def _compare(self, contenders: Contenders, spans: list[HeldOutSpan]) -> HeldOutScores:
        for bundle in contenders.bundles.values():
            spans = with_full_windows(spans, bundle.card.architecture.window_length)
        # As a release would leave the symbols: they have learnt from the candles before.
        spans = learning_before(spans, START_CANDLES)
        forecasts = forecast_with_progress(contenders, spans, self.stoppable)
        return HeldOutScores(
            contenders.compare(forecasts),
            contenders.net_returns(forecasts),
            summarise_intervals(backtests_of(CHALLENGER, forecasts)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A challenger and the champion, compared on the held-out candles."""

    challenger: Bundle
    champion: Bundle | None
    comparison: Comparison
    before: Comparison | None  # the champion alone, over the candles before; for the report
    net_returns: Mapping[str, list[NetReturn]] = field(default_factory=dict)  # by contender
    intervals: IntervalSummary | None = None  # the challenger's

    @property
    def over_zero(self) -> Skill | None:
        """The challenger's skill against zero change."""
        return self.comparison.skill(CHALLENGER)

    @property
    def over_champion(self) -> Skill | None:
        """The challenger's skill against the champion; None if that was not compared."""
        is_compared = CHAMPION in self.comparison.names
        return self.comparison.skill(CHALLENGER, CHAMPION) if is_compared else None


def write_report(
    path: Path, version: str, evaluation: Evaluation, decision: PromotionDecision, fitted: FitResult
) -> None:
    """Write the report of a version to an HTML file."""
    # Imported here: the charting library takes long to load, and most trainings write no report.
    from shared.reporting.html_report import render_report

    comparison, before, champion = evaluation.comparison, evaluation.before, evaluation.champion
    notes: tuple[str, ...] = ()
    if champion is not None:
        trained_through_ms = champion.card.trained_through_ms
        notes = overlap_notes(f"The {CHAMPION}", trained_through_ms, comparison, before)
    report = ModelReport(
        f"Model version {version}",
        comparison,
        f"It was {decision.outcome}: {decision.reason}.",
        fitted.training_losses,
        fitted.validation_losses,
        fitted.skills,
        before=before,
        notes=notes,
        net_returns=tuple(evaluation.net_returns.get(CHALLENGER, ())),
        intervals=evaluation.intervals,
    )
    path.write_text(render_report(report), encoding="utf-8")
