"""Fits bundles on the candles of a `benchmarks.skill` run, and scores them."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from rich.progress import Progress

from benchmarks.shared_weights import forecast_with_shared_weights
from benchmarks.skill_tables import raw_name
from benchmarks.skill_task import SkillTask
from benchmarks.variants import ONE_SET
from services.cli.backtest.report import forecast_spans
from services.trainer.card import build_challenger, fit_span_intervals
from services.trainer.data.dataset import Split
from services.trainer.data.preparation import PreparedData, fit_options, prepare_with_split
from services.trainer.fitting.fit import fit
from services.trainer.fitting.options import FitResult
from services.trainer.fitting.training_loop import FitCallbacks
from services.trainer.fitting.validation_scorer import build_epoch_scorer
from services.trainer.settings import TrainerSettings
from shared.core.evaluation.comparison import CHALLENGER_FROZEN, Comparison
from shared.core.evaluation.contenders import Contenders, SymbolForecasts, challenge
from shared.core.evaluation.forecasts import HeldOutSpan
from shared.core.model.card import Bundle
from shared.core.model.interval_settings import IntervalSettings
from shared.core.online.context import FoldContext
from shared.reporting.progress import track_count

# Settings that no weight depends on where the loss chooses the epoch.
_ONLINE: Final = {
    *("learns", "head_prior", "head_half_life", "online_rate", "online_optimiser"),
    *("shrinkage_weight", "shrinkage_caution", "shrinkage_half_life"),
}


class FitCache:
    """Fits bundles on a task, once for variants that differ in their online step alone."""

    def __init__(self, task: SkillTask, context: FoldContext) -> None:
        """Take the candles to train on, and the context to score epochs in."""
        self._task, self._context = task, context
        self._last: tuple[dict[str, object], PreparedData, FitResult, IntervalSettings] | None
        self._last = None

    def bundle(self, name: str, given: Mapping[str, str]) -> Bundle:
        """Fit the bundle of these settings, or return it if only the online step differs."""
        settings = TrainerSettings.from_env({"INTERVAL": self._task.interval, **given})
        online = _ONLINE if settings.choose_by == "loss" else set[str]()
        key = settings.model_dump(exclude=online)
        if self._last is None or self._last[0] != key:
            self._last = (key, *self._fit(settings))
        _, prepared, fitted, intervals = self._last
        challenger = build_challenger(settings, prepared, fitted, None, intervals)
        return replace(challenger, version=name)

    def _fit(self, settings: TrainerSettings) -> tuple[PreparedData, FitResult, IntervalSettings]:
        spans = self._task.spans
        candles = (spans.train_to - spans.train_from) // self._context.interval_ms
        validation_ms = int(candles * settings.validation_share) * self._context.interval_ms
        split = Split(spans.train_to - validation_ms, spans.train_to)
        prepared = prepare_with_split(settings, self._task.training, split)
        callbacks = FitCallbacks(build_epoch_scorer(settings, prepared, self._context))
        options, architecture = fit_options(settings), settings.architecture
        never = threading.Event()
        fitted = fit(architecture, prepared.dataset, options, never, callbacks=callbacks)
        return prepared, fitted, fit_span_intervals(prepared, self._context)


@dataclass(frozen=True, slots=True, eq=False)
class ScoredForecasts:
    """All contenders' forecasts of the same candles."""

    contenders: Contenders
    forecasts: list[SymbolForecasts]
    comparison: Comparison


def score(
    bundle: Bundle,
    spans: list[HeldOutSpan],
    context: FoldContext,
    *,
    is_shared: bool,
    with_baselines: bool = True,
) -> ScoredForecasts:
    """Score a bundle updating and frozen, each calibrated and raw, beside the baselines if wanted.

    With `is_shared` it is scored with one set of weights for all symbols as well.
    """
    contenders = challenge(bundle, None, context)
    if not with_baselines:
        contenders = replace(contenders, baselines={})
    with Progress() as progress:
        forecasts = list(forecast_spans(contenders, spans, bundle.version, progress))
    comparison = contenders.compare(forecasts)
    frozen = {one.symbol: one.series[CHALLENGER_FROZEN] for one in forecasts}
    comparison.add(raw_name(CHALLENGER_FROZEN), frozen, raw=True)
    if is_shared:
        with track_count(ONE_SET, sum(len(span.candles) for span in spans)) as advance:
            shared = forecast_with_shared_weights(bundle, spans, context, advance)
        comparison.add(ONE_SET, shared)
        comparison.add(raw_name(ONE_SET), shared, raw=True)
    return ScoredForecasts(contenders, forecasts, comparison)
