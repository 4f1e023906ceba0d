"""The spans, symbols and settings of a `benchmarks.skill` run."""

import argparse
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.market import recorded_sequences
from benchmarks.shared_weights import forecast_with_shared_weights
from benchmarks.variants import ONE_SET, raw_name
from services.trainer.card import build_card
from services.trainer.data.dataset import Split
from services.trainer.data.preparation import PreparedData, fit_options, prepare_with_split
from services.trainer.evaluate import forecast_with_progress
from services.trainer.fitting.fit import fit
from services.trainer.fitting.options import FitResult
from services.trainer.fitting.training_loop import FitCallbacks
from services.trainer.fitting.validation_scorer import build_epoch_scorer
from services.trainer.settings import TrainerSettings
from shared.core.arrays import Float64s
from shared.core.evaluation.backtest import without_online_learning
from shared.core.evaluation.comparison import CHALLENGER, CHALLENGER_FROZEN, Comparison
from shared.core.evaluation.contenders import Contenders
from shared.core.evaluation.forecasts import HeldOutSpan, hold_out
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext
from shared.core.sequence import OPEN_TIME
from shared.core.timestamps import parse_timestamp_ms
from shared.reporting.progress import track_count

TRAINED_UNTIL_MS: Final = parse_timestamp_ms("2025-03-01")
_WARM_UP_MS: Final = 4 * 86_400_000  # of another recording: more than the longest window


@dataclass(frozen=True, slots=True, eq=False)
class SkillTask:
    """The training span and the scored candles."""

    title: str
    training: Mapping[str, Float64s]
    spans: list[HeldOutSpan]


class FitCache:
    """Fits bundles on a task, once for variants that differ in their online step alone."""

    def __init__(self, task: SkillTask) -> None:
        """Take the candles to train on."""
        self.context = FoldContext.of_this_machine("5m")
        self._training = task.training
        self._last: tuple[dict[str, object], PreparedData, FitResult] | None = None

    def bundle(self, name: str, given: Mapping[str, str]) -> Bundle:
        """Fit the bundle of these settings, or return it if only the online step differs."""
        settings = TrainerSettings.from_env(given)
        online = {"online_rate", "online_optimiser"} if settings.choose_by == "loss" else set[str]()
        key = settings.model_dump(exclude=online)
        if self._last is None or self._last[0] != key:
            self._last = (key, *self._fit(settings))
        _, prepared, fitted = self._last
        return Bundle(name, build_card(settings, prepared, fitted, None), fitted.weights, "")

    def _fit(self, settings: TrainerSettings) -> tuple[PreparedData, FitResult]:
        first_ms = int(min(q[0, OPEN_TIME] for q in self._training.values()))
        validation_ms = int((TRAINED_UNTIL_MS - first_ms) * settings.validation_share)
        split = Split(TRAINED_UNTIL_MS - validation_ms, TRAINED_UNTIL_MS)
        prepared = prepare_with_split(settings, self._training, split)
        callbacks = FitCallbacks(build_epoch_scorer(settings, prepared, self.context))
        options, architecture = fit_options(settings), settings.architecture
        never = threading.Event()
        fitted = fit(architecture, prepared.dataset, options, never, callbacks=callbacks)
        return prepared, fitted


def compare_forecasts(
    bundle: Bundle,
    task: SkillTask,
    context: FoldContext,
    is_shared: bool,
    *,
    with_linear: bool = False,
) -> Comparison:
    """Score a bundle learning and frozen, each calibrated and raw.

    With `is_shared` it is scored with one set of weights for all symbols as well.
    """
    bundles = {CHALLENGER: bundle, CHALLENGER_FROZEN: without_online_learning(bundle)}
    shrinkage = bundle.card.shrinkage if with_linear else None
    contenders = Contenders(bundles, context, shrinkage)
    forecasts = forecast_with_progress(contenders, task.spans)
    comparison = contenders.compare(forecasts)
    frozen = {one.symbol: one.series[CHALLENGER_FROZEN] for one in forecasts}
    comparison.add(raw_name(CHALLENGER_FROZEN), frozen, raw=True)
    if is_shared:
        with track_count(ONE_SET, sum(len(span.candles) for span in task.spans)) as advance:
            shared = forecast_with_shared_weights(bundle, task.spans, context, advance)
        comparison.add(ONE_SET, shared)
        comparison.add(raw_name(ONE_SET), shared, raw=True)
    return comparison


def load_task(arguments: argparse.Namespace) -> SkillTask:
    """Read the recordings and split them into training and scored candles."""
    sequences = recorded_sequences(arguments.klines)
    training = {s: q[q[:, OPEN_TIME] < TRAINED_UNTIL_MS] for s, q in sorted(sequences.items())}
    if arguments.week is not None:
        scored, from_ms = _other_symbols(arguments.week, training)
        start = np.datetime64(from_ms, "ms").astype("datetime64[m]")
        title = f"symbols never seen, from {start} on"
    else:
        from_ms = parse_timestamp_ms(f"{arguments.month}-01")
        until_ms = parse_timestamp_ms(str(np.datetime64(arguments.month) + 1) + "-01")
        scored = {s: q[q[:, OPEN_TIME] < until_ms] for s, q in sorted(sequences.items())}
        title = arguments.month
    if arguments.unseen:
        names = list(training)
        training, scored = {s: training[s] for s in names[::2]}, {s: scored[s] for s in names[1::2]}
        title += ", symbols never seen"
    if arguments.candles is not None:
        title += f", first {arguments.candles:,} candles"
    spans = hold_out(scored, from_ms, arguments.candles or sys.maxsize, len(scored))
    return SkillTask(title, training, spans)


def _other_symbols(
    recording: Path, training: Mapping[str, Float64s]
) -> tuple[dict[str, Float64s], int]:
    """Read the symbols of a recording that are not trained on, and when to start scoring."""
    recorded = recorded_sequences(recording)
    scored = {s: q for s, q in sorted(recorded.items()) if s not in training}
    first_ms = int(min(q[0, OPEN_TIME] for q in scored.values()))
    return scored, first_ms + _WARM_UP_MS
