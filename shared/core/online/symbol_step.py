"""Fold one candle of a symbol: learn from it, then predict the next."""

from dataclasses import replace

import numpy as np

from shared.core.errors import BadInput
from shared.core.online.context import LIVE, FoldContext, FoldOptions
from shared.core.online.learning import StepResult, learn
from shared.core.online.model import Model
from shared.core.online.network_io import (
    fit_missing_scaler,
    pending_jacobian,
    run_network,
)
from shared.core.online.prediction import Prediction
from shared.core.online.state import PendingPrediction, SymbolState
from shared.core.online.state_codec import state_digest
from shared.core.online.symbol_history import extend_features, symbol_features
from shared.core.records import Candle
from shared.core.sequence import EXCHANGE_COLUMNS, OPEN_TIME, append_candle, candle_values


def step_symbol(
    state: SymbolState,
    candle: Candle,
    offset: int,
    model: Model | None,
    context: FoldContext,
    options: FoldOptions = LIVE,
) -> tuple[SymbolState, Prediction | None]:
    """Learn from the label that a candle brings, then predict the next candle.

    The label belongs to the window that ended before the candle; the new window ends with it. So
    the step never sees the candle it is about to predict.

    Args:
        state: the symbol's state before the candle; it stays as it is.
        candle: the candle.
        offset: the candle's offset in the log.
        model: the symbol's model; None if none predicts here, then only the sequence grows.
        context: the interval and the numeric profile.
        options: what to compute besides the prediction.

    Returns:
        The state after the candle, and a prediction once the symbol has a full window.

    Raises:
        BadInput: the candle is not newer than the newest.
    """
    # 1. Refuse a candle that the log has already: no outcome may be learnt from twice.
    _check_newer(state, candle)
    # 2. Learn before the candle enters the window: the pending prediction was made without it.
    result = learn(state, _label(state, candle, context.interval_ms), model)
    # 3. Extend sequence and features, so that the new window ends with the candle. The prediction
    #    and the Jacobian belong to the window before.
    after = replace(
        state,
        sequence=append_candle(state.sequence, candle),
        features=extend_features(state, candle, model, context),
        learner=result.learner,
        scores=result.scores,
        calibration=result.calibration,
        pending=None,
        jacobian=None,
    )
    if model is None or len(after.sequence) < model.window_length:
        return after, None
    # 4. Predict with the weights just learnt.
    after, output, was_reset = _forward(fit_missing_scaler(after, model), model, options)
    if was_reset:
        result = replace(result, was_reset=True)
    # 5. Remember the prediction: the next candle is its outcome.
    after = replace(after, pending=_pending(after, output, model, context))
    # 6. Publish it with the digest of the state it was made from, which lets a replay prove itself.
    digest = state_digest(state) if options.digest else None
    return after, _prediction(after, result, offset, digest, model, context)


def precompute(state: SymbolState, model: Model | None) -> SymbolState:
    """Compute the Jacobian and the digest for the symbol's next candle in idle time.

    No value depends on whether this was done; the next prediction only comes sooner.
    """
    is_learnable = state.pending is not None and state.pending.learnable
    if model is not None and state.jacobian is None and is_learnable:
        state = replace(state, jacobian=pending_jacobian(state, model))
    state_digest(state)  # kept with the state from here on
    return state


def repredict(state: SymbolState, model: Model) -> SymbolState:
    """Return the state with its pending prediction made again by the weights it has now.

    For learners that several symbols share: their weights have moved on since.
    """
    pending = state.pending
    if pending is None or not pending.learnable:
        return state
    output, jacobian = run_network(state, model, with_jacobian=True)
    return replace(state, pending=replace(pending, output=float(output)), jacobian=jacobian)


def _label(state: SymbolState, candle: Candle, interval_ms: int) -> float | None:
    """Return the candle's change, close / close before - 1; None across a gap."""
    follows = state.last_open_time_ms == candle.open_time_ms - interval_ms
    return candle.close / state.last_close - 1.0 if follows else None


def _forward(
    state: SymbolState, model: Model, options: FoldOptions
) -> tuple[SymbolState, float, bool]:
    """Run the network on a symbol's window, with the model's weights if its own overflow.

    Finite weights may still give an output that is not finite.

    Returns:
        The state with the weights used and, if asked for, the Jacobian; the output; whether the
        symbol is back at the model's weights.
    """
    output, jacobian = run_network(state, model, with_jacobian=options.jacobian)
    was_reset = not np.isfinite(output)
    if was_reset:
        state = replace(state, learner=model.base_learner)
        output, jacobian = run_network(state, model, with_jacobian=options.jacobian)
    if jacobian is not None:
        state = replace(state, jacobian=jacobian)
    return state, float(output), was_reset


def _pending(
    state: SymbolState, output: float, model: Model, context: FoldContext
) -> PendingPrediction:
    scale = model.card.label_scale * model.feature_set.change_unit(symbol_features(state).carry)
    change = output * scale
    return PendingPrediction(
        open_time_ms=int(state.sequence[-1, OPEN_TIME]) + context.interval_ms,
        model_version=model.version,
        change=change,
        calibrated_change=change * state.calibration.coefficient(model.card.shrinkage),
        output=output,
        scale=scale,
        learnable=True,
    )


def _prediction(
    state: SymbolState,
    result: StepResult,
    offset: int,
    digest: str | None,
    model: Model,
    context: FoldContext,
) -> Prediction:
    """Return the pending prediction of a state to publish; `digest` is of the state before."""
    pending = state.pending
    if pending is None or state.promotion_offset is None:
        raise ValueError(f"{state.symbol} predicts without a promotion")
    close = state.last_close
    return Prediction(
        symbol=state.symbol,
        interval=context.interval,
        open_time_ms=pending.open_time_ms,
        close=close,
        predicted_change=pending.change,
        predicted_close=close * (1.0 + pending.change),
        change_scale=pending.scale,
        calibration=state.calibration.coefficient(model.card.shrinkage),
        calibrated_change=pending.calibrated_change,
        calibrated_close=close * (1.0 + pending.calibrated_change),
        actionable=state.calibration.is_actionable(model.card.shrinkage),
        model_version=model.version,
        steps=(state.learner or model.base_learner).steps,
        loss=result.loss,
        was_reset=result.was_reset,
        previous=result.previous,
        scores=state.scores,
        source_offset=offset,
        promotion_offset=state.promotion_offset,
        state_digest=digest,
        numeric_profile=context.numeric_profile,
    )


def _check_newer(state: SymbolState, candle: Candle) -> None:
    """Check that a candle opens after the newest of its symbol: the log only grows at its end.

    Raises:
        BadInput: out_of_order, duplicate, or contradiction (same open time, other values).
    """
    last_ms = state.last_open_time_ms
    if last_ms is None or candle.open_time_ms > last_ms:
        return
    subject = f"candle of {candle.symbol} at open time {candle.open_time_ms} ms"
    if candle.open_time_ms < last_ms:
        message = f"{subject} comes after the one at {last_ms} ms; candles go in by open time"
        raise BadInput("out_of_order", message)
    is_same = _exchange_values(candle) == tuple(state.sequence[-1, :EXCHANGE_COLUMNS].tolist())
    reason, values = ("duplicate", "") if is_same else ("contradiction", " with other values")
    message = (
        f"{subject} is in the log already{values}; the log keeps the first; publish an amendment to"
        " change a candle"
    )
    raise BadInput(reason, message)


def _exchange_values(candle: Candle) -> tuple[float, ...]:
    """Return what every source has of a candle: the rest may be unknown to one and not another."""
    return candle_values(candle)[:EXCHANGE_COLUMNS]
