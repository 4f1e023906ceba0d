"""Builds the card of a fitted network."""

from dataclasses import replace
from typing import Any, Final

from services.trainer.data.dataset import training_candles
from services.trainer.data.preparation import PreparedData
from services.trainer.fitting.head_fit import fit_head
from services.trainer.fitting.options import FitResult
from services.trainer.interval_fit import fit_intervals
from services.trainer.settings import TrainerSettings
from shared.adapters.schemas.baskets import baskets_to_json
from shared.core.market_table import MarketSequences
from shared.core.model.card import Bundle, Card
from shared.core.model.interval_settings import IntervalSettings
from shared.core.online.context import FoldContext
from shared.core.sequence import OPEN_TIME
from shared.core.sequence_mapping import own_columns
from shared.core.topics import interval_ms

_SETTINGS_OF_THE_FIT: Final = {
    *("windows_per_epoch", "batch_size", "learning_rate", "learning_rate_falls", "averaging"),
    *("common_move", "mirrored", "dropout", "seed"),
}


def build_challenger(
    settings: TrainerSettings,
    prepared: PreparedData,
    fitted: FitResult,
    champion: Bundle | None,
    intervals: IntervalSettings | None = None,
) -> Bundle:
    """Build the challenger, without scores and without a version.

    Args:
        settings: of the training.
        prepared: its candles.
        fitted: its network.
        champion: that it may replace.
        intervals: fitted to the candles; None: the default ones.

    Raises:
        BadInput: the weights are not finite.
    """
    card = build_card(settings, prepared, fitted, champion)
    if intervals is not None:
        card = replace(card, intervals=intervals)
    has_head = card.learns in {"head", "both"}
    head = fit_head(card.architecture, fitted.weights, prepared.dataset) if has_head else None
    return Bundle("challenger", card, fitted.weights, "", head)


def build_card(
    settings: TrainerSettings, prepared: PreparedData, fitted: FitResult, champion: Bundle | None
) -> Card:
    """Build the challenger's card, without scores."""
    s, step_ms = settings, interval_ms(settings.interval)
    own = own_columns(prepared.sequences)
    baskets = prepared.baskets
    return Card(
        architecture=s.architecture,
        feature_set=s.feature_set,
        label_scale=prepared.dataset.label_scale,
        optimiser=s.optimiser,
        huber_delta=s.max_quadratic_error,
        shrinkage=s.shrinkage,
        learns=s.learns,
        head=s.head,
        scalers=prepared.scalers,
        baskets=None if baskets is None else baskets.version,
        trained_from_ms=min(int(own[symbol][0, OPEN_TIME]) for symbol in prepared.symbols),
        # The choice of the epoch has seen the validation span.
        trained_through_ms=prepared.split.validation_until_ms - step_ms,
        parent=None if champion is None else champion.version,
        training=_describe_training(s, prepared, fitted),
    )


def fit_span_intervals(prepared: PreparedData, context: FoldContext) -> IntervalSettings:
    """Fit the card's settings of the intervals to the training span."""
    own = own_columns(prepared.sequences)
    spans = {symbol: training_candles(own[symbol], prepared.split) for symbol in prepared.symbols}
    return fit_intervals(spans, context.interval_ms)


def _describe_training(
    s: TrainerSettings, prepared: PreparedData, fitted: FitResult
) -> dict[str, Any]:
    """Return the card's entry on how its weights were made."""
    return {
        "interval": s.interval,
        "symbols": sorted(prepared.symbols),
        "training_until_ms": prepared.split.training_until_ms,
        "training_windows": len(prepared.dataset.training_ends),
        "training_losses": list(fitted.training_losses),
        "validation_losses": list(fitted.validation_losses),
        "online_skills": list(fitted.skills),
        "chosen_by": "online" if fitted.skills else "loss",
        "chosen_epoch": fitted.best_epoch + 1,
        **s.model_dump(include=_SETTINGS_OF_THE_FIT),
        **_describe_market(prepared),
    }


def _describe_market(prepared: PreparedData) -> dict[str, Any]:
    """Return the definition of the baskets, and how many of the moves were recomputed."""
    if not isinstance(prepared.sequences, MarketSequences):
        return {}
    share = round(prepared.sequences.recomputed_share(), 6)
    if prepared.baskets is None:
        return {"market_recomputed": share}
    return {"market_recomputed": share, "baskets": baskets_to_json(prepared.baskets)}
