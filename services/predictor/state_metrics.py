"""Export what the states in memory hold: symbols, models, and how good the predictions were.

Sums are exported, not ratios: sums of several replicas can be added.
"""

from collections.abc import Collection, Iterable

from services.predictor.partition_task import PartitionTask
from shared.adapters.prometheus import Telemetry
from shared.core.online.interval_scores import COVERAGES
from shared.core.online.state import SymbolState


class StateMetrics:
    """Gauges over the states of a replica's partitions."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Register the metrics."""
        gauge = telemetry.gauge
        self._symbols = gauge("symbols", "Symbols whose state is in memory here.")
        self._model = telemetry.labelled_gauge(
            "model_info", "1 for each model version that predicts here.", "version"
        )
        self._corrections = gauge(
            "corrections", "Corrections of the symbols' candles since the promotion."
        )
        self._unsaved = gauge(
            "redis_unsaved_symbols", "Symbols that changed since the last save to Redis."
        )
        self._scored = gauge(
            "scored_predictions", "Predictions since the promotion whose outcome is known."
        )
        self._error = gauge(
            "squared_error", "Sum of their squared errors, calibrated; changes are fractions."
        )
        self._error_zero = gauge(
            "squared_error_zero", "Sum of the squared errors of zero change, for the same outcomes."
        )
        self._outcomes = gauge("interval_outcomes", "Outcomes since the promotion with bounds.")
        self._covered = gauge(
            "covered_outcomes", "Outcomes within the bounds, by their coverage in %.", "coverage"
        )

    def report(self, tasks: Collection[PartitionTask]) -> None:
        """Show the states of partitions that are restored."""
        versions = {task.state.model_version for task in tasks} - {None}
        self._model.show({str(version): 1 for version in versions})
        self._unsaved.set(sum(len(task.unsaved) for task in tasks))
        symbols = [state for task in tasks for state in task.state.symbols.values()]
        self._symbols.set(len(symbols))
        self._corrections.set(sum(state.corrections for state in symbols))
        self._report_scores(symbols)
        self._report_coverage(symbols)

    def _report_scores(self, symbols: Iterable[SymbolState]) -> None:
        scored, error, error_zero = 0, 0.0, 0.0
        for state in symbols:
            scores = state.scores
            scored += scores.n
            error += scores.squared_error_calibrated
            error_zero += scores.squared_error_zero
        self._scored.set(scored)
        self._error.set(error)
        self._error_zero.set(error_zero)

    def _report_coverage(self, symbols: Iterable[SymbolState]) -> None:
        scores = [state.intervals.scores for state in symbols if state.intervals is not None]
        self._outcomes.set(sum(each.n for each in scores))
        for at, coverage in enumerate(COVERAGES):
            self._covered.labels(str(coverage)).set(sum(each.covered[at] for each in scores))
