"""The fold: (state, record) -> (state, prediction). Live prediction, replay, backtest and scoring are this."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from shared.core.arrays import Float32s
from shared.core.calibration import Calibration
from shared.core.candle import Amendment, Candle, Gap, Promotion, Record
from shared.core.card import Bundle
from shared.core.errors import BadInput
from shared.core.features import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    OPEN_TIME,
    VOLUME,
    Features,
    feature_set,
    features_after,
    features_over,
)
from shared.core.network import Learner, Network, fresh
from shared.core.prediction import Outcome, Prediction
from shared.core.scaler import Scaler, fit
from shared.core.scores import Scores
from shared.core.state import Pending, SymbolState, amended, extended, row_of


class Model:
    """A bundle ready to predict: its network, and the learner that every symbol starts from."""

    def __init__(self, bundle: Bundle) -> None:
        """Take the bundle's weights; the learner is shared until a symbol's first step."""
        self.bundle = bundle
        self.card = bundle.card
        self.version = bundle.version
        self.features = feature_set(bundle.card.feature_set)
        self.network = Network(bundle.card.architecture)
        self.base = fresh(bundle.weights)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What stands in every prediction besides the state: the interval and the numeric profile."""

    interval: str
    interval_ms: int
    numeric_profile: str

    def predicts(self, profile: str | None) -> bool:
        """Say whether this is the profile that predicts where `profile` rules; None: nothing names one yet."""
        return profile in (None, self.numeric_profile)


@dataclass(frozen=True, slots=True)
class Beside:
    """What is computed beside a prediction. No value depends on it."""

    jacobian: bool = False  # as the next candle is here already: later, its forward pass would have to be made anew
    digest: bool = True  # of the state it was made from: a quarter of an event's cost


LIVE: Final = Beside()
REPLAY: Final = Beside(jacobian=True)

_LEAST_REACH: Final = 1e-30  # of a close that a scaler takes for nothing
_LARGEST_OUTPUT: Final = 1e9  # in units of the label: what is said of a close far outside of its scaler is finite


@dataclass(frozen=True, slots=True)
class GroupState:
    """A symbol group after the record before `next_offset`."""

    next_offset: int = 0
    promotion_offset: int | None = None
    model_version: str | None = None
    symbols: Mapping[str, SymbolState] = field(default_factory=dict)
    known_from: int = 0  # symbols without a record since this offset are not known here
    numeric_profile: str | None = None  # of the last promotion that names one: no other predicts here


def fold(
    group: GroupState,
    record: Record,
    offset: int,
    model: Model | None,
    deployment: Deployment,
    beside: Beside = LIVE,
) -> tuple[GroupState, Prediction | None]:
    """Fold one record of a symbol group.

    Args:
        group: the state before the record.
        record: what the log says.
        offset: the record's place in the log.
        model: for a promotion, the model it promotes; else the group's current model. None before the first
            promotion, and where another numeric profile predicts: sequences grow, nothing is learnt or predicted.
        deployment: the interval and the numeric profile.
        beside: what else to compute.

    Returns:
        The state after the record, and the prediction that a candle gives once its symbol has a full window.

    Raises:
        BadInput: the record contradicts the log before it; the caller sets it aside with `passed_over`.
    """
    if isinstance(record, Promotion):
        return _promoted(group, record, offset, model, deployment), None
    if isinstance(record, Gap):
        return passed_over(group, offset), None
    if not deployment.predicts(group.numeric_profile):
        model = None
    candle = record.candle if isinstance(record, Amendment) else record
    state = group.symbols.get(candle.symbol) or _first(candle.symbol, group, model, deployment)
    prediction = None
    if isinstance(record, Amendment):
        state = _amended(state, candle, model, deployment)
    else:
        state, prediction = fold_candle(state, candle, offset, model, deployment, beside)
    symbols = {**group.symbols, candle.symbol: state}
    return replace(group, next_offset=offset + 1, symbols=symbols), prediction


def passed_over(group: GroupState, offset: int) -> GroupState:
    """Return the group after a record that changes no symbol."""
    return replace(group, next_offset=offset + 1)


def refused(group: GroupState, promotion: Promotion, offset: int) -> GroupState:
    """Return the group after a promotion whose bundle is unusable.

    The model before it stays, unless it was another profile's: what that profile computed ends at a promotion to
    another, so that two versions that judge bundles differently agree on where.
    """
    if group.numeric_profile is None or promotion.numeric_profile in (None, group.numeric_profile):
        return passed_over(group, offset)
    symbols = {name: SymbolState(name, sequence=state.sequence) for name, state in group.symbols.items()}
    return GroupState(
        offset + 1, symbols=symbols, known_from=group.known_from, numeric_profile=promotion.numeric_profile
    )


def fold_candle(
    state: SymbolState,
    candle: Candle,
    offset: int,
    model: Model | None,
    deployment: Deployment,
    beside: Beside = LIVE,
) -> tuple[SymbolState, Prediction | None]:
    """Learn from the label the candle brings, then predict the next.

    The label belongs to the window that ended before the candle; the new window ends with it. So the step never
    sees the candle it is about to predict.
    """
    _refuse_stale(state, candle)
    follows = state.last_open_time_ms == candle.open_time_ms - deployment.interval_ms
    change = candle.close / state.last_close - 1.0 if follows else None
    learnt = learn(state, change, model)
    after = replace(
        state,
        sequence=extended(state.sequence, candle),
        features=_extended_features(state, candle, model, deployment),
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
    return _predicted(after, learnt, float(output), offset, model, deployment, state_digest)


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a candle's arrival taught."""

    learner: Learner | None
    scores: Scores
    calibration: Calibration
    previous: Outcome | None = None
    loss: float | None = None
    was_reset: bool = False


def learn(state: SymbolState, change: float | None, model: Model | None) -> Learnt:
    """Score the pending prediction and make one step on it, if its outcome is known.

    Args:
        state: before the candle.
        change: the label, close / close before - 1; None across a gap.
        model: the state's model.
    """
    pending = state.pending
    if pending is None:
        return Learnt(state.learner, state.scores, state.calibration)
    previous = Outcome(pending.open_time_ms, pending.model_version, pending.change, pending.calibrated_change, change)
    if change is None or model is None or not pending.learnable:
        return Learnt(state.learner, state.scores, state.calibration, previous)
    scores = state.scores.with_outcome(pending.change, pending.calibrated_change, change)
    label = change / pending.scale
    calibration = state.calibration.with_outcome(pending.output, label, model.card.shrinkage)
    learner = state.learner or model.base
    with np.errstate(over="ignore"):  # a move beyond what a float32 holds
        error = np.float32(pending.output) - np.float32(label)
    if not np.isfinite(error):
        return Learnt(model.base, scores, calibration, previous, was_reset=True)
    loss = float(error) * float(error)
    delta = np.float32(model.card.huber_delta)
    bounded = _in_outputs(min(max(error, -delta), delta), state, pending.scale, model)
    stepped = model.network.step(learner, model.card.optimiser, bounded, _jacobian(state, model))
    if not stepped.is_finite:
        return Learnt(model.base, scores, calibration, previous, loss, was_reset=True)
    return Learnt(stepped, scores, calibration, previous, loss)


def readied(state: SymbolState, model: Model | None) -> SymbolState:
    """Return the state with what its next event needs and the quiet time can give: Jacobian and digest."""
    if model is not None and state.jacobian is None and _can_learn(state):
        state = replace(state, jacobian=_jacobian(state, model))
    _ = state.digest  # cached from here on
    return state


def asked_anew(state: SymbolState, model: Model) -> SymbolState:
    """Return the state with what its weights say now of the window that its prediction was made from."""
    pending = state.pending
    if pending is None or not pending.learnable:
        return state
    output, jacobian = _output(state, model, ahead=True)
    said = _in_changes(float(output), state, pending.scale, model)
    return replace(state, pending=replace(pending, output=said), jacobian=jacobian)


def window(state: SymbolState, model: Model) -> Float32s:
    """Return the scaled window (window_length, features) that ends with the newest candle."""
    rows = _known_features(state).rows
    if not model.features.is_ranged:
        return rows.astype(np.float32)
    return np.ascontiguousarray(_scaler(state, model).apply(rows))


def _promoted(
    group: GroupState, promotion: Promotion, offset: int, model: Model | None, deployment: Deployment
) -> GroupState:
    """Every symbol keeps its sequence and nothing else: base weights, fresh optimiser, scores and calibration.

    So a symbol's state at a promotion follows from its last candles, which is what bounds a replay, and what lets
    another numeric profile go on from here.
    """
    profile = promotion.numeric_profile or group.numeric_profile
    if not deployment.predicts(profile):
        model = None  # only the profile that predicts needs it, or can judge it
    elif model is None:
        message = f"promotion of {promotion.model_version} without its model"
        raise ValueError(message)
    version = promotion.model_version
    symbols = {name: _started(state, version, offset, model, deployment) for name, state in group.symbols.items()}
    return GroupState(offset + 1, offset, version, symbols, group.known_from, profile)


def _started(state: SymbolState, version: str, offset: int, model: Model | None, deployment: Deployment) -> SymbolState:
    return SymbolState(
        symbol=state.symbol,
        sequence=state.sequence,
        model_version=version,
        promotion_offset=offset,
        learner=None if model is None else model.base,
        features=None if model is None else _features_of(state, model, deployment),
    )


def _features_of(state: SymbolState, model: Model, deployment: Deployment) -> Features:
    """Return the features of the candles that are kept, folded from the oldest of them."""
    window_length = model.card.architecture.window_length
    return features_over(model.features, state.sequence, deployment.interval_ms, window_length)


def _extended_features(
    state: SymbolState, candle: Candle, model: Model | None, deployment: Deployment
) -> Features | None:
    if model is None:
        return None
    window_length = model.card.architecture.window_length
    row = row_of(candle)[0]
    return features_after(model.features, _known_features(state), row, deployment.interval_ms, window_length)


def _amended(state: SymbolState, candle: Candle, model: Model | None, deployment: Deployment) -> SymbolState:
    """Return the state with a candle replaced, and the features of the candles as they are now."""
    after = amended(state, candle)
    if after is state or model is None:
        return after
    return replace(after, features=_features_of(after, model, deployment))


def _known_features(state: SymbolState) -> Features:
    if state.features is None:
        message = f"{state.symbol} has no features"
        raise ValueError(message)
    return state.features


def _first(symbol: str, group: GroupState, model: Model | None, deployment: Deployment) -> SymbolState:
    state = SymbolState(symbol)
    if model is None or group.promotion_offset is None:
        return state
    return _started(state, model.version, group.promotion_offset, model, deployment)


def _can_learn(state: SymbolState) -> bool:
    return state.pending is not None and state.pending.learnable


def _jacobian(state: SymbolState, model: Model) -> Float32s:
    if state.jacobian is not None:
        return state.jacobian
    learner = state.learner or model.base
    return model.network.jacobian(learner.weights, window(state, model))[1]


def _output(state: SymbolState, model: Model, *, ahead: bool) -> tuple[np.float32, Float32s | None]:
    weights, rows = (state.learner or model.base).weights, window(state, model)
    return model.network.jacobian(weights, rows) if ahead else (model.network.predict(weights, rows), None)


def _with_scaler(state: SymbolState, model: Model) -> SymbolState:
    """A symbol that the card does not know gets its ranges from its first full window."""
    if not model.features.is_ranged or state.scaler is not None or state.symbol in model.card.scalers:
        return state
    scaler: Scaler = fit(_known_features(state).rows)
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
    learnt: Learnt,
    output: float,
    offset: int,
    model: Model,
    deployment: Deployment,
    state_digest: str | None,
) -> tuple[SymbolState, Prediction]:
    scale = model.card.label_scale * model.features.unit(_known_features(after).carry)
    output = _in_changes(output, after, scale, model)
    change = output * scale
    shrinkage = model.card.shrinkage
    calibration = after.calibration.coefficient(shrinkage)
    calibrated = change * calibration
    opens = int(after.sequence[-1, OPEN_TIME]) + deployment.interval_ms
    pending = Pending(opens, model.version, change, calibrated, output, scale, learnable=True)
    learner = after.learner or model.base
    if after.promotion_offset is None:
        message = f"{after.symbol} predicts without a promotion"
        raise ValueError(message)
    prediction = Prediction(
        symbol=after.symbol,
        interval=deployment.interval,
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
        numeric_profile=deployment.numeric_profile,
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
