"""Scores weights on the validation span as they would live: by their online forecasts."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from services.trainer.card import build_challenger
from services.trainer.data.preparation import PreparedData
from services.trainer.evaluate import map_spans
from services.trainer.fitting.options import FitResult
from services.trainer.settings import TrainerSettings
from shared.core.arrays import Float32s, Float64s
from shared.core.evaluation.backtest import ReportProgress, run_backtest
from shared.core.evaluation.comparison import pooled_skill
from shared.core.evaluation.forecasts import HeldOutSpan, hold_out, with_full_windows
from shared.core.evaluation.scored_candles import compute_volatility
from shared.core.evaluation.skill_score import Skill
from shared.core.model.card import MAX_WEIGHT, Bundle
from shared.core.online.context import FoldContext

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class ValidationScorer:
    """Scores bundles over the same candles, each forecast before it is learnt from."""

    spans: list[HeldOutSpan]
    volatility: Mapping[str, Float64s]  # by symbol (n,), at the moment of each forecast
    context: FoldContext
    threads: int | None = None  # all processors by default

    @property
    def events(self) -> int:
        """The number of candles of one scoring."""
        return sum(len(span.candles) for span in self.spans)

    def skill(self, bundle: Bundle, progress: ReportProgress = lambda _: None) -> Skill | None:
        """Return the pooled skill of a bundle's calibrated forecasts against zero change.

        Errors are in volatilities. The same bits on any number of threads.

        Returns:
            None if there is nothing to compare, or the weights are not finite or too large.
        """
        if not self.spans or not are_usable(bundle.weights):
            return None
        work = partial(run_backtest, bundle, self.context)
        step_ms = self.context.interval_ms
        backtests = map_spans(work, self.spans, progress, self.threads)
        return pooled_skill({one.symbol: one.series(step_ms) for one in backtests}, self.volatility)


def are_usable(weights: Float32s) -> bool:
    """Return whether weights (weights,) are finite and small enough for a bundle."""
    return bool(np.abs(weights).max() <= MAX_WEIGHT)


def build_validation_scorer(
    settings: TrainerSettings,
    prepared: PreparedData,
    context: FoldContext,
    threads: int | None = None,
) -> ValidationScorer:
    """Build the scorer of the validation span; it sees no candle after it.

    At most SCORED_SYMBOLS symbols and SCORED_CANDLES candles of each are scored, so that one
    scoring costs at most as much as the last one on the held-out candles. Bundles of other window
    lengths are compared over the same candles if these settings have the longest one.
    """
    until_ms = prepared.split.validation_until_ms
    from_ms, most = prepared.split.training_until_ms, settings.scored_symbols
    spans = hold_out(prepared.sequences, from_ms, settings.scored_candles, most, until_ms)
    spans = with_full_windows(spans, settings.window_length)
    step_ms = context.interval_ms
    volatility = {s.symbol: compute_volatility(s.recent, s.candles, step_ms) for s in spans}
    return ValidationScorer(spans, volatility, context, threads)


def build_epoch_scorer(
    settings: TrainerSettings,
    prepared: PreparedData,
    context: FoldContext,
    progress: ReportProgress = lambda _: None,
) -> Callable[[Float32s], float | None] | None:
    """Return the function that scores an epoch's weights (weights,) by their online skill.

    Returns:
        None if the validation loss chooses the epoch: CHOOSE_BY=loss, or no symbol can be scored.
    """
    if settings.choose_by == "loss":
        return None
    scorer = build_validation_scorer(settings, prepared, context)
    if not scorer.spans:
        log.info("no symbol can be scored on the validation span: the loss chooses the epoch")
        return None

    def score_epoch(weights: Float32s) -> float | None:
        if not are_usable(weights):
            return None
        fitted = FitResult(weights, (), ())
        skill = scorer.skill(build_challenger(settings, prepared, fitted, None), progress)
        return None if skill is None else skill.value

    return score_epoch
