"""Fold one candle of a symbol: learn from it, then predict the next."""

from dataclasses import replace
from math import isfinite
from typing import Final

import numpy as np

from shared.core.online.candle_order import check_newer
from shared.core.online.checkpoints import extend_checkpoints
from shared.core.online.context import LIVE, FoldContext, FoldOptions
from shared.core.online.intervals import intervals
from shared.core.online.learning import StepReport, learn
from shared.core.online.model import Model
from shared.core.online.network_io import (
    ForwardPass,
    fit_missing_scaler,
    pending_jacobian,
    run_model,
)
from shared.core.online.prediction import Prediction
from shared.core.online.state import PendingPrediction, SymbolState
from shared.core.online.state_digest import state_digest
from shared.core.online.symbol_history import (
    extend_features,
    extend_intervals,
    symbol_features,
)
from shared.core.records import Candle
from shared.core.sequence import OPEN_TIME, append_candle

_LEAST_CHANGE: Final = -0.9
_LARGEST_CHANGE: Final = 9.0


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
    check_newer(state, candle)
    after, report = advance_symbol(state, candle, model, context, options, offset)
    if model is None or after.pending is None:
        return after, None
    # The digest of the state that the prediction was made from lets a replay prove itself.
    digest = state_digest(state) if options.digest else None
    return after, _prediction(after, report, offset, digest, model, context)


def advance_symbol(
    state: SymbolState,
    candle: Candle,
    model: Model | None,
    context: FoldContext,
    options: FoldOptions = LIVE,
    offset: int | None = None,
) -> tuple[SymbolState, StepReport]:
    """Learn from a candle that is newer than the newest, and predict the one after it.

    Args:
        state: see `step_symbol`, as for the others.
        candle: the candle.
        model: the symbol's model.
        context: the interval and the numeric profile.
        options: what to compute besides the prediction.
        offset: the candle's offset in the log; None: the prediction is not published.

    Returns:
        The state after the candle, its pending prediction made; how the step went.
    """
    # 1. Learn before the candle enters the window: the pending prediction was made without it.
    market_change = None if candle.market is None else candle.market.change
    change = _change(state, candle, context.interval_ms)
    learnt, report = learn(state, change, market_change, model)
    # 2. Extend sequence and features, so that the new window ends with the candle. The prediction,
    #    the Jacobian and the head's inputs belong to the window before.
    sequence = append_candle(state.sequence, candle)
    features = extend_features(state, sequence[-1], model, context)
    intervals = extend_intervals(state, candle, model, context)
    after = learnt.replace(
        sequence=sequence,
        features=features,
        intervals=intervals,
        checkpoints=extend_checkpoints(
            state.checkpoints,
            state.last_open_time_ms,
            candle.open_time_ms,
            features,
            intervals,
            context.interval_ms,
        ),
        pending=None,
        jacobian=None,
        head_inputs=None,
    )
    if model is None or len(after.sequence) < model.window_length:
        return after, report
    # 3. Predict with the weights just learnt, and remember the prediction: the next candle is its
    #    outcome.
    after, run, was_reset = _run(fit_missing_scaler(after, model), model, options)
    pending = _pending(after, run.output, model, context, offset)
    after = after.replace(pending=pending, jacobian=run.jacobian, head_inputs=run.head_inputs)
    return after, replace(report, was_reset=True) if was_reset else report


def precompute(state: SymbolState, model: Model | None) -> SymbolState:
    """Compute the Jacobian and the digest for the symbol's next candle in idle time.

    No value depends on whether this was done; the next prediction only comes sooner.
    """
    is_learnable = state.pending is not None and state.pending.learnable
    if model is not None and model.steps_by_gradient and state.jacobian is None and is_learnable:
        state = state.replace(jacobian=pending_jacobian(state, model))
    state_digest(state)  # kept with the state from here on
    return state


def repredict(state: SymbolState, model: Model) -> SymbolState:
    """Return the state with its pending prediction made again by the weights it has now.

    For learners that several symbols share: their weights have moved on since.
    """
    pending = state.pending
    if pending is None or not pending.learnable:
        return state
    run = run_model(state, model, with_jacobian=True)
    _, output = _bound_change(run.output, pending.scale)
    return state.replace(pending=replace(pending, output=output), jacobian=run.jacobian)


def _change(state: SymbolState, candle: Candle, interval_ms: int) -> float | None:
    """Return the candle's change, close / close before - 1; None across a gap.

    None too where fills came after the pending prediction, and it predicted another candle.
    """
    follows = state.last_open_time_ms == candle.open_time_ms - interval_ms
    if state.pending is not None and state.pending.open_time_ms != candle.open_time_ms:
        return None
    return candle.close / state.last_close - 1.0 if follows else None


def _run(
    state: SymbolState, model: Model, options: FoldOptions
) -> tuple[SymbolState, ForwardPass, bool]:
    """Run the model on a symbol's window, with the base's weights if its own overflow.

    Finite weights may still give an output that is not finite.

    Returns:
        The state with the weights used, the forward pass, and whether the symbol is back at the
        model's weights.
    """
    with_jacobian = options.jacobian and model.steps_by_gradient
    run = run_model(state, model, with_jacobian=with_jacobian)
    if isfinite(run.output):
        return state, run, False
    state = state.replace(learner=None, head=None, steps=0)
    return state, run_model(state, model, with_jacobian=with_jacobian), True


def _pending(
    state: SymbolState, output: float, model: Model, context: FoldContext, offset: int | None
) -> PendingPrediction:
    scale = model.card.label_scale * model.feature_set.change_unit(symbol_features(state).carry)
    change, output = _bound_change(output, scale)
    return PendingPrediction(
        open_time_ms=int(state.sequence[-1, OPEN_TIME]) + context.interval_ms,
        model_version=model.version,
        change=change,
        calibrated_change=change * state.calibration.coefficient(model.card.shrinkage),
        output=output,
        scale=scale,
        learnable=True,
        source_offset=offset,
    )


def _bound_change(output: float, scale: float) -> tuple[float, float]:
    """Return the predicted change of an output, and the output, both within bounds.

    A price may fall to a tenth or rise to ten times: whatever a network says of a window that
    training has not seen, the predicted close stays above zero.
    """
    change = output * scale
    bounded = min(max(change, _LEAST_CHANGE), _LARGEST_CHANGE)
    if bounded == change:
        return change, output
    return bounded, float(np.float32(bounded / scale))


def _prediction(
    state: SymbolState,
    report: StepReport,
    offset: int,
    digest: str | None,
    model: Model,
    context: FoldContext,
) -> Prediction:
    """Return the pending prediction of a state to publish; `digest` is of the state before."""
    pending, known = state.pending, state.intervals
    if pending is None or known is None or state.promotion_offset is None:
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
        actionable=state.evidence.is_actionable(model.card.evidence),
        intervals=intervals(known, pending.calibrated_change, close),
        model_version=model.version,
        steps=state.steps,
        loss=report.loss,
        was_reset=report.was_reset,
        previous=report.previous,
        scores=state.scores,
        interval_scores=known.scores,
        source_offset=offset,
        promotion_offset=state.promotion_offset,
        state_digest=digest,
        corrections=state.corrections,
        numeric_profile=context.numeric_profile,
    )
