"""A candidate as it will live: its calibrated online forecasts of the validation span, against zero change."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.trainer.data.dataset import count_before
from services.trainer.data.preparation import PreparedData, build_card
from services.trainer.evaluate import (
    HeldOut,
    Progress,
    forecast,
    held_out_of,
    volatilities,
    with_windows,
)
from services.trainer.fitting.result import FitResult
from services.trainer.settings import TrainerSettings
from shared.core.arrays import Float32s, Float64s
from shared.core.evaluation.skill_score import Skill, pool_by_time, skill_score
from shared.core.model.card import MAX_WEIGHT, Bundle
from shared.core.model.shrinkage import Shrinkage
from shared.core.online.context import FoldContext

log = logging.getLogger("ulstm")

LARGEST: Final = (
    Shrinkage().largest
)  # volatilities; a move beyond it counts as one of it: no single candle decides


@dataclass(frozen=True, slots=True, eq=False)
class ValidationScorer:
    """Scores bundles over the same candles, each forecast before it is learnt from."""

    parts: list[HeldOut]
    volatility: Mapping[str, Float64s]  # by symbol (n,), when a forecast was made
    context: FoldContext
    threads: int

    @property
    def events(self) -> int:
        """How many candles one scoring goes over."""
        return sum(len(part.candles) for part in self.parts)

    def skill(self, bundle: Bundle, progress: Progress = lambda _: None) -> Skill | None:
        """Return the pooled skill of a bundle's calibrated forecasts against zero change, in volatilities.

        The same bits on any number of threads. None if there is nothing to compare, or the weights are no numbers
        that can predict.
        """
        if not self.parts or not np.abs(bundle.weights).max() <= MAX_WEIGHT:
            return None
        tracks = forecast(bundle, self.parts, self.context, self.threads, progress)
        times, ours, zero = [], [], []
        for symbol, track in tracks.items():
            known = np.isfinite(track.outcome)
            units = self.volatility[symbol][known]
            times.append(track.open_time_ms[known])
            ours.append(squared_errors(track.calibrated[known], track.outcome[known], units))
            zero.append(squared_errors(np.zeros(len(units)), track.outcome[known], units))
        return skill_score(pool_by_time(times, ours), pool_by_time(times, zero))


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
    parts = held_out_of(sequences, from_ms, settings.scored_candles, settings.scored_symbols)
    parts = with_windows(parts, settings.window_length)
    return ValidationScorer(
        parts,
        volatilities(parts, context.interval_ms),
        context,
        threads or os.cpu_count() or 1,
    )


def build_epoch_scorer(
    settings: TrainerSettings,
    prepared: PreparedData,
    context: FoldContext,
    progress: Progress = lambda _: None,
) -> Callable[[Float32s], float | None] | None:
    """Return what says how good an epoch's weights are: their online skill. None: CHOOSE_BY leaves it to the loss."""
    if settings.choose_by == "loss":
        return None
    online = build_validation_scorer(settings, prepared, context)
    if not online.parts:
        log.info("no symbol can be scored on the validation span: the loss chooses the epoch")
        return None

    def judged(weights: Float32s) -> float | None:
        card = build_card(settings, prepared, FitResult(weights, (), ()), None)
        found = online.skill(Bundle("candidate", card, weights, ""), progress)
        return None if found is None else found.value

    return judged


def squared_errors(changes: Float64s, outcomes: Float64s, volatility: Float64s) -> Float64s:
    """Return squared errors in squared volatilities (n,); outcomes beyond LARGEST volatilities count as LARGEST.

    >>> squared_errors(np.array([0.0, 0.01]), np.array([0.5, 0.03]), np.array([0.01, 0.01])).round(6).tolist()
    [64.0, 4.0]
    """
    missed: Float64s = changes / volatility - np.clip(outcomes / volatility, -LARGEST, LARGEST)
    return missed * missed
