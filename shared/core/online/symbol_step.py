"""The fold: (state, record) -> (state, prediction). Live prediction, replay, backtest and scoring are this."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from shared.core.arrays import Float32s
from shared.core.errors import BadInput
from shared.core.features.base import Features, append_features, compute_features
from shared.core.model.network import Learner
from shared.core.model.scaler import Scaler, fit_scaler_to
from shared.core.online.calibration import Calibration
from shared.core.online.model import LIVE, FoldContext, FoldOptions, Model
from shared.core.online.prediction import Outcome, Prediction
from shared.core.online.scores import Scores
from shared.core.online.state import Pending, SymbolState, replace_candle
from shared.core.records import Candle
from shared.core.sequence import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    OPEN_TIME,
    VOLUME,
    append_candle,
    candle_row,
)

_LEAST_REACH: Final = 1e-30  # of a close that a scaler takes for nothing
_LARGEST_OUTPUT: Final = (
    1e9  # in units of the label: what is said of a close far outside of its scaler is finite
)


def step_symbol(
    state: SymbolState,
    candle: Candle,
    offset: int,
    model: Model | None,
    context: FoldContext,
    beside: FoldOptions = LIVE,
) -> tuple[SymbolState, Prediction | None]:
    """Learn from the label the candle brings, then predict the next.

    The label belongs to the window that ended before the candle; the new window ends with it. So the step never
    sees the candle it is about to predict.
    """
    _refuse_stale(state, candle)
    follows = state.last_open_time_ms == candle.open_time_ms - context.interval_ms
    change = candle.close / state.last_close - 1.0 if follows else None
    learnt = learn(state, change, model)
    after = replace(
        state,
        sequence=append_candle(state.sequence, candle),
        features=_extended_features(state, candle, model, context),
        learner=learnt.learner,
        scores=learnt.scores,
        calibration=learnt.calibration,
        pending=None,
        jacobian=None,
    )
    if model is None or len(after.sequence) < model.card.architecture.window_length:
        return after, None
    after = _with_scaler(after, model)
    output, jacobian = _output(after, model, ahead=beside.jacobian)
    if not np.isfinite(output):
        learnt = replace(learnt, learner=model.base, was_reset=True)
        after = replace(after, learner=model.base)
        output, jacobian = _output(after, model, ahead=beside.jacobian)
    if jacobian is not None:
        after = replace(after, jacobian=jacobian)
    state_digest = state.digest if beside.digest else None
    return _predicted(after, learnt, float(output), offset, model, context, state_digest)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a candle's arrival taught."""

    learner: Learner | None
    scores: Scores
    calibration: Calibration
    previous: Outcome | None = None
    loss: float | None = None
    was_reset: bool = False


def learn(state: SymbolState, change: float | None, model: Model | None) -> StepResult:
    """Score the pending prediction and make one step on it, if its outcome is known.

    Args:
        state: before the candle.
        change: the label, close / close before - 1; None across a gap.
        model: the state's model.
    """
    pending = state.pending
    if pending is None:
        return StepResult(state.learner, state.scores, state.calibration)
    previous = Outcome(
        pending.open_time_ms,
        pending.model_version,
        pending.change,
        pending.calibrated_change,
        change,
    )
    if change is None or model is None or not pending.learnable:
        return StepResult(state.learner, state.scores, state.calibration, previous)
    scores = state.scores.with_outcome(pending.change, pending.calibrated_change, change)
    label = change / pending.scale
    calibration = state.calibration.with_outcome(pending.output, label, model.card.shrinkage)
    learner = state.learner or model.base
    with np.errstate(over="ignore"):  # a move beyond what a float32 holds
        error = np.float32(pending.output) - np.float32(label)
    if not np.isfinite(error):
        return StepResult(model.base, scores, calibration, previous, was_reset=True)
    loss = float(error) * float(error)
    delta = np.float32(model.card.huber_delta)
    bounded = _in_outputs(min(max(error, -delta), delta), state, pending.scale, model)
    stepped = model.network.step(learner, model.card.optimiser, bounded, _jacobian(state, model))
    if not stepped.is_finite:
        return StepResult(model.base, scores, calibration, previous, loss, was_reset=True)
    return StepResult(stepped, scores, calibration, previous, loss)


def precompute(state: SymbolState, model: Model | None) -> SymbolState:
    """Return the state with what its next event needs and the quiet time can give: Jacobian and digest."""
    if model is not None and state.jacobian is None and _can_learn(state):
        state = replace(state, jacobian=_jacobian(state, model))
    _ = state.digest  # cached from here on
    return state


def repredict(state: SymbolState, model: Model) -> SymbolState:
    """Return the state with what its weights say now of the window that its prediction was made from."""
    pending = state.pending
    if pending is None or not pending.learnable:
        return state
    output, jacobian = _output(state, model, ahead=True)
    said = _in_changes(float(output), state, pending.scale, model)
    return replace(state, pending=replace(pending, output=said), jacobian=jacobian)


def network_input(state: SymbolState, model: Model) -> Float32s:
    """Return the scaled window (window_length, features) that ends with the newest candle."""
    rows = _known_features(state).rows
    if not model.features.is_ranged:
        return rows.astype(np.float32)
    return np.ascontiguousarray(_scaler(state, model).apply(rows))


def start_symbol(
    state: SymbolState, version: str, offset: int, model: Model | None, context: FoldContext
) -> SymbolState:
    return SymbolState(
        symbol=state.symbol,
        sequence=state.sequence,
        model_version=version,
        promotion_offset=offset,
        learner=None if model is None else model.base,
        features=None if model is None else _features_of(state, model, context),
    )


def _features_of(state: SymbolState, model: Model, context: FoldContext) -> Features:
    """Return the features of the candles that are kept, folded from the oldest of them."""
    window_length = model.card.architecture.window_length
    return compute_features(model.features, state.sequence, context.interval_ms, window_length)


def _extended_features(
    state: SymbolState, candle: Candle, model: Model | None, context: FoldContext
) -> Features | None:
    if model is None:
        return None
    window_length = model.card.architecture.window_length
    row = candle_row(candle)[0]
    return append_features(
        model.features, _known_features(state), row, context.interval_ms, window_length
    )


def amend_symbol(
    state: SymbolState, candle: Candle, model: Model | None, context: FoldContext
) -> SymbolState:
    """Return the state with a candle replaced, and the features of the candles as they are now."""
    after = replace_candle(state, candle)
    if after is state or model is None:
        return after
    return replace(after, features=_features_of(after, model, context))


def _known_features(state: SymbolState) -> Features:
    if state.features is None:
        message = f"{state.symbol} has no features"
        raise ValueError(message)
    return state.features


def _can_learn(state: SymbolState) -> bool:
    return state.pending is not None and state.pending.learnable


def _jacobian(state: SymbolState, model: Model) -> Float32s:
    if state.jacobian is not None:
        return state.jacobian
    learner = state.learner or model.base
    return model.network.jacobian(learner.weights, network_input(state, model))[1]


def _output(state: SymbolState, model: Model, *, ahead: bool) -> tuple[np.float32, Float32s | None]:
    weights, rows = (state.learner or model.base).weights, network_input(state, model)
    return (
        model.network.jacobian(weights, rows)
        if ahead
        else (model.network.predict(weights, rows), None)
    )


def _with_scaler(state: SymbolState, model: Model) -> SymbolState:
    """A symbol that the card does not know gets its ranges from its first full window."""
    if (
        not model.features.is_ranged
        or state.scaler is not None
        or state.symbol in model.card.scalers
    ):
        return state
    scaler: Scaler = fit_scaler_to(_known_features(state).rows)
    return replace(state, scaler=scaler)


def _scaler(state: SymbolState, model: Model) -> Scaler:
    scaler = model.card.scalers.get(state.symbol) or state.scaler
    if scaler is None:
        message = f"{state.symbol} has no scaler"
        raise ValueError(message)
    return scaler


def _close_column(model: Model) -> int | None:
    """Return the column on whose scale the network's output is; None: it is a change."""
    return model.features.close if model.card.target == "level" else None


def _reach(state: SymbolState, scale: float, model: Model, column: int) -> float:
    """Return how much the network's output rises if the next change does by `scale`."""
    return max(state.last_close * _scaler(state, model).scale[column] * scale, _LEAST_REACH)


def _in_outputs(error: np.float32, state: SymbolState, scale: float, model: Model) -> np.float32:
    """Return an error in units of `scale` as one of the network's output: what the Jacobian is multiplied with."""
    column = _close_column(model)
    if column is None:
        return error
    with np.errstate(over="ignore", invalid="ignore"):  # the step then says that it is not finite
        return error * np.float32(_reach(state, scale, model, column))


def _in_changes(output: float, state: SymbolState, scale: float, model: Model) -> float:
    """Return the change that the network says, in units of `scale`, as a float32.

    With target level its output is the next close on the symbol's scaler: zero change is where the last close is.
    """
    column = _close_column(model)
    if column is None:
        return output
    scaler = _scaler(state, model)
    unchanged = state.last_close * scaler.scale[column] + scaler.offset[column]
    said = (output - unchanged) / _reach(state, scale, model, column)
    return float(np.float32(min(max(said, -_LARGEST_OUTPUT), _LARGEST_OUTPUT)))


def _predicted(  # noqa: PLR0913 - every argument is a different moment of one event
    after: SymbolState,
    learnt: StepResult,
    output: float,
    offset: int,
    model: Model,
    context: FoldContext,
    state_digest: str | None,
) -> tuple[SymbolState, Prediction]:
    scale = model.card.label_scale * model.features.unit(_known_features(after).carry)
    output = _in_changes(output, after, scale, model)
    change = output * scale
    shrinkage = model.card.shrinkage
    calibration = after.calibration.coefficient(shrinkage)
    calibrated = change * calibration
    opens = int(after.sequence[-1, OPEN_TIME]) + context.interval_ms
    pending = Pending(opens, model.version, change, calibrated, output, scale, learnable=True)
    learner = after.learner or model.base
    if after.promotion_offset is None:
        message = f"{after.symbol} predicts without a promotion"
        raise ValueError(message)
    prediction = Prediction(
        symbol=after.symbol,
        interval=context.interval,
        open_time_ms=opens,
        close=after.last_close,
        predicted_change=change,
        predicted_close=after.last_close * (1.0 + change),
        change_scale=scale,
        calibration=calibration,
        calibrated_change=calibrated,
        calibrated_close=after.last_close * (1.0 + calibrated),
        actionable=after.calibration.is_shown(shrinkage),
        model_version=model.version,
        steps=learner.steps,
        loss=learnt.loss,
        was_reset=learnt.was_reset,
        previous=learnt.previous,
        scores=after.scores,
        source_offset=offset,
        promotion_offset=after.promotion_offset,
        state_digest=state_digest,
        numeric_profile=context.numeric_profile,
    )
    return replace(after, pending=pending), prediction


def _refuse_stale(state: SymbolState, candle: Candle) -> None:
    """The log only grows at its end.

    Raises:
        BadInput: the candle is not newer than the newest.
    """
    last = state.last_open_time_ms
    if last is None or candle.open_time_ms > last:
        return
    place = f"candle of {candle.symbol} at open time {candle.open_time_ms} ms"
    advice = "the log keeps the first; publish an amendment to change a candle"
    if candle.open_time_ms < last:
        message = f"{place} comes after the one at {last} ms; candles go in by open time"
        raise BadInput("out_of_order", message)
    same = candle == _candle_at_end(state)
    reason = "duplicate" if same else "contradiction"
    verdict = "stands in the log already" if same else "stands in the log with other values"
    message = f"{place} {verdict}; {advice}"
    raise BadInput(reason, message)


def _candle_at_end(state: SymbolState) -> Candle:
    row = state.sequence[-1]
    prices = (float(row[i]) for i in (OPEN, HIGH, LOW, CLOSE, VOLUME))
    return Candle(state.symbol, int(row[OPEN_TIME]), *prices)
