"""Changes of a symbol's candles and of the features folded from them: extend, correct."""

from dataclasses import replace
from typing import Final

from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.features.base import Features, append_features, compute_features
from shared.core.online.checkpoints import fold_again
from shared.core.online.context import FoldContext
from shared.core.online.intervals import IntervalState, start_intervals, step_intervals
from shared.core.online.model import Model
from shared.core.online.state import SymbolState
from shared.core.records import Amendment, Candle, Correction, Fill
from shared.core.sequence import (
    OPEN_TIME,
    count_before,
    insert_candle,
    own_values,
    replace_candle,
)

# Enough for the size of a symbol's changes; a promotion folds them for every symbol at once.
_INTERVAL_CANDLES: Final = 144


def extend_features(
    state: SymbolState, candle: Float64s, model: Model | None, context: FoldContext
) -> Features | None:
    """Return the features after one more candle (columns,); None without a model."""
    if model is None:
        return None
    return append_features(
        model.feature_set,
        symbol_features(state),
        candle,
        context.interval_ms,
        model.window_length,
    )


def extend_intervals(
    state: SymbolState, candle: Candle, model: Model | None, context: FoldContext
) -> IntervalState | None:
    """Return the intervals' state after one more candle; None without a model.

    Those published for the candle are scored where the prediction beside them is.
    """
    if model is None:
        return None
    settings, pending = model.card.intervals, state.pending
    if pending is not None and not (
        pending.learnable and pending.open_time_ms == candle.open_time_ms
    ):
        pending = None  # made from another window, or for another candle
    return step_intervals(
        state.intervals or start_intervals(settings),
        own_values(candle),
        settings,
        context.interval_ms,
        centre=0.0 if pending is None else pending.calibrated_change,
        is_scored=pending is not None and pending.is_published,
    )


def fold_intervals(state: SymbolState, model: Model, context: FoldContext) -> IntervalState:
    """Return the intervals' state after the newest of the kept candles, twelve hours of 5m."""
    folded = start_intervals(model.card.intervals)
    for values in state.sequence[-_INTERVAL_CANDLES:].tolist():
        folded = step_intervals(folded, values, model.card.intervals, context.interval_ms)
    return folded


def correct_symbol(
    state: SymbolState, record: Correction, model: Model | None, context: FoldContext
) -> SymbolState:
    """Return the state with a candle of its sequence replaced, or put into a gap.

    A candle older than those that are kept changes nothing. What was learnt before stays, but the
    pending prediction is not learnt from: its window is no longer what it was made from.

    Raises:
        BadInput: a fill of a candle that is there, an amendment of one that is not; a correction of
            a symbol without candles.
    """
    candle, sequence = record.candle, state.sequence
    if not len(sequence):
        raise _contradiction(record, f"the log has no candles of {candle.symbol} before it")
    if candle.open_time_ms < sequence[0, OPEN_TIME]:
        return state
    at = count_before(sequence, candle.open_time_ms)
    is_there = at < len(sequence) and sequence[at, OPEN_TIME] == candle.open_time_ms
    if is_there and isinstance(record, Fill):
        raise _contradiction(record, "the log has this candle; publish an amendment to change it")
    if not is_there and isinstance(record, Amendment):
        raise _contradiction(record, "the log has no such candle; publish a fill to add it")
    if is_there:
        sequence = replace_candle(sequence, at, candle)
    else:
        sequence = insert_candle(sequence, at, candle)
    after = state.replace(
        sequence=sequence,
        pending=state.pending and replace(state.pending, learnable=False),
        corrections=state.corrections + 1,
        jacobian=None,
        head_inputs=None,
    )
    if model is None:
        return after
    return fold_again(state, after, candle.open_time_ms, model, context)


def _contradiction(record: Correction, reason: str) -> BadInput:
    kind, candle = type(record).__name__.lower(), record.candle
    subject = f"{kind} of {candle.symbol} at open time {candle.open_time_ms} ms"
    return BadInput("contradiction", f"{subject}: {reason}")


def symbol_features(state: SymbolState) -> Features:
    """Return a symbol's features.

    Raises:
        ValueError: it has none, because no model was promoted.
    """
    if state.features is None:
        raise ValueError(f"{state.symbol} has no features")
    return state.features


def fold_features(state: SymbolState, model: Model, context: FoldContext) -> Features:
    """Return the features of the candles that are kept, folded from the oldest of them."""
    return compute_features(
        model.feature_set, state.sequence, context.interval_ms, model.window_length
    )
