"""Compare a model's forecasts in a backtest with other forecasts of the same candles."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing import cpu_count
from pathlib import Path
from typing import Final

from rich.progress import Progress

from shared.adapters.worker_pool import report_progress, run_in_workers
from shared.core.arrays import Float64s
from shared.core.errors import BadSetting
from shared.core.evaluation.comparison import CHALLENGER, Comparison
from shared.core.evaluation.contenders import (
    Contenders,
    SymbolForecasts,
    backtests_of,
    challenge,
)
from shared.core.evaluation.costs import DEFAULT_COSTS
from shared.core.evaluation.forecasts import HeldOutSpan, hold_out_before
from shared.core.evaluation.interval_summary import summarise_intervals
from shared.core.evaluation.online_ridge import HALF_LIFE
from shared.core.evaluation.report import ModelReport, overlap_notes
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext
from shared.core.timestamps import format_timestamp

MAX_HISTORY: Final = 2 * HALF_LIFE  # candles before the promotion that a report reads


def forecast_spans(
    contenders: Contenders, spans: list[HeldOutSpan], text: str, progress: Progress
) -> Generator[SymbolForecasts, None, None]:
    """Forecast every span, one symbol a process, those with most candles first.

    Args:
        contenders: pickled on their way to the processes.
        spans: the held-out candles.
        text: describes the work.
        progress: shows it.
    """
    task = progress.add_task(text, total=contenders.events(spans))
    longest_first = sorted(spans, key=lambda span: len(span.candles), reverse=True)
    calls = [partial(contenders.forecast, span, report_progress) for span in longest_first]
    return run_in_workers(cpu_count(), calls, lambda done: progress.update(task, completed=done))


def check_report(report: Path | None, against: str) -> None:
    """Check the options of the report before any work is done.

    Raises:
        BadSetting: the page cannot be written there, or `--against` is given without a report.
    """
    if report is None and against:
        raise BadSetting(
            f"--against is {against}, which only a report shows: add --report FILE.html"
        )
    if report is not None and (
        report.suffix != ".html" or not report.parent.is_dir() or report.is_dir()
    ):
        raise BadSetting(f"--report is {report}; it must be a .html file in a folder that exists")


@dataclass(frozen=True, slots=True, eq=False)
class BacktestReport:
    """Compares a model with its frozen self, online ridge regressions and another version."""

    challenger: Bundle
    champion: Bundle | None
    from_ms: int
    context: FoldContext
    costs: tuple[float, ...] = DEFAULT_COSTS

    @property
    def contenders(self) -> Contenders:
        """The models and baselines that are compared after the promotion."""
        name = "" if self.champion is None else self.champion.version
        return challenge(self.challenger, self.champion, self.context, name)

    def build(
        self,
        forecasts: list[SymbolForecasts],
        sequences: Mapping[str, Float64s],
        progress: Progress,
    ) -> ModelReport:
        """Build the report.

        Args:
            forecasts: those of all contenders.
            sequences: each symbol's candles (n, columns). The champion is scored on as many before
                the promotion as after it, MAX_HISTORY at most.
            progress: shows the work.
        """
        version, card = self.challenger.version, self.challenger.card
        comparison, before = self.contenders.compare(forecasts), None
        net = self.contenders.net_returns(forecasts, self.costs)
        notes = overlap_notes(version, card.trained_through_ms, comparison)
        if self.champion is not None:
            before = self._score_before(self.champion, sequences, progress)
            trained_through_ms = self.champion.card.trained_through_ms
            notes += overlap_notes(self.champion.version, trained_through_ms, comparison, before)
        return ModelReport(
            f"Backtest of model version {version}",
            comparison,
            f"As if promoted, as the challenger, at {format_timestamp(self.from_ms)} UTC.",
            champion="" if self.champion is None else self.champion.version,
            before=before,
            notes=notes,
            net_returns=tuple(net.get(CHALLENGER, ())),
            intervals=summarise_intervals(backtests_of(CHALLENGER, forecasts)),
        )

    def _score_before(
        self, champion: Bundle, sequences: Mapping[str, Float64s], progress: Progress
    ) -> Comparison:
        spans = hold_out_before(sequences, self.from_ms, MAX_HISTORY, self.context.interval_ms)
        contenders = Contenders({champion.version: champion}, self.context)
        forecasts = forecast_spans(contenders, spans, f"{champion.version} before", progress)
        return contenders.compare(forecasts)
