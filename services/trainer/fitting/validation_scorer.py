"""A candidate as it will live: its calibrated online forecasts of the validation span, against zero change."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from services.trainer.data.preparation import PreparedData, build_card
from services.trainer.evaluate import map_spans
from services.trainer.fitting.result import FitResult
from services.trainer.settings import TrainerSettings
from shared.core.arrays import Float32s, Float64s
from shared.core.evaluation.backtest import ReportProgress, run_backtest
from shared.core.evaluation.comparison import clipped_skill
from shared.core.evaluation.forecasts import compute_volatility
from shared.core.evaluation.held_out import HeldOutSpan, hold_out, with_full_windows
from shared.core.evaluation.skill_score import Skill
from shared.core.model.card import MAX_WEIGHT, Bundle
from shared.core.online.context import FoldContext
from shared.core.sequence import count_before

log = logging.getLogger("ulstm")


@dataclass(frozen=True, slots=True, eq=False)
class ValidationScorer:
    """Scores bundles over the same candles, each forecast before it is learnt from."""

    spans: list[HeldOutSpan]
    volatility: Mapping[str, Float64s]  # by symbol (n,), at the moment of each forecast
    context: FoldContext
    threads: int

    @property
    def events(self) -> int:
        """How many candles one scoring goes over."""
        return sum(len(span.candles) for span in self.spans)

    def skill(self, bundle: Bundle, progress: ReportProgress = lambda _: None) -> Skill | None:
        """Return the pooled skill of a bundle's calibrated forecasts against zero change, in volatilities.

        The same bits on any number of threads. None if there is nothing to compare, or the weights are no numbers
        that can predict.
        """
        if not self.spans or not np.abs(bundle.weights).max() <= MAX_WEIGHT:
            return None
        work = partial(run_backtest, bundle, self.context)
        step_ms = self.context.interval_ms
        backtests = map_spans(work, self.spans, progress, self.threads)
        return clipped_skill(
            {one.symbol: one.series(step_ms) for one in backtests}, self.volatility
        )


def build_validation_scorer(
    settings: TrainerSettings,
    prepared: PreparedData,
    context: FoldContext,
    threads: int | None = None,
) -> ValidationScorer:
    """Return what scores candidates on the validation span, and on no candle after it.

    At most SCORED_SYMBOLS symbols and SCORED_CANDLES candles of each are scored, so one scoring costs at most as much
    as the last one on the held-out candles. Candidates of other window lengths are compared over the same candles if
    these settings have the longest.
    """
    until_ms = prepared.split.validation_until_ms
    sequences = {symbol: s[: count_before(s, until_ms)] for symbol, s in prepared.sequences.items()}
    from_ms = prepared.split.training_until_ms
    spans = hold_out(sequences, from_ms, settings.scored_candles, settings.scored_symbols)
    spans = with_full_windows(spans, settings.window_length)
    step_ms = context.interval_ms
    volatility = {s.symbol: compute_volatility(s.recent, s.candles, step_ms) for s in spans}
    return ValidationScorer(spans, volatility, context, threads or os.cpu_count() or 1)


def build_epoch_scorer(
    settings: TrainerSettings,
    prepared: PreparedData,
    context: FoldContext,
    progress: ReportProgress = lambda _: None,
) -> Callable[[Float32s], float | None] | None:
    """Return what says how good an epoch's weights are: their online skill. None: CHOOSE_BY leaves it to the loss."""
    if settings.choose_by == "loss":
        return None
    online = build_validation_scorer(settings, prepared, context)
    if not online.spans:
        log.info("no symbol can be scored on the validation span: the loss chooses the epoch")
        return None

    def judged(weights: Float32s) -> float | None:
        card = build_card(settings, prepared, FitResult(weights, (), ()), None)
        found = online.skill(Bundle("challenger", card, weights, ""), progress)
        return None if found is None else found.value

    return judged
