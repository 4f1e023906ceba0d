"""Learn from the outcome of a prediction: scores, calibration and one step of what learns."""

from dataclasses import dataclass
from math import isfinite

import numpy as np

from shared.core.model.head import Head
from shared.core.model.optimiser import Learner
from shared.core.online.evidence import Evidence
from shared.core.online.model import Model
from shared.core.online.network_io import pending_head_inputs, pending_jacobian, symbol_head
from shared.core.online.prediction import Outcome
from shared.core.online.state import PendingPrediction, SymbolState
from shared.core.online.symbol_history import symbol_features


@dataclass(frozen=True, slots=True)
class StepReport:
    """How a step went."""

    previous: Outcome | None = None  # the prediction that the candle is the outcome of
    loss: float | None = None  # its squared error in units of the change scale
    was_reset: bool = False  # the step was not finite: back to the model's weights


def learn(
    state: SymbolState, change: float | None, market_change: float | None, model: Model | None
) -> tuple[SymbolState, StepReport]:
    """Score the pending prediction and make one step on it, if its outcome is known.

    Args:
        state: the state before the candle.
        change: of the candle, close / close before - 1; None across a gap.
        market_change: the market's in the same candle; None if unknown.
        model: the state's model.

    Returns:
        The state with everything that learns moved by one outcome, and how that went.
    """
    pending = state.pending
    if pending is None:
        return state, StepReport()
    previous = _outcome(pending, change)
    if change is None or model is None or not pending.learnable:
        return state, StepReport(previous)
    # 1. Learn from what the market does not explain.
    label = (change - _explained_change(state, market_change, model)) / pending.scale
    learner, head, was_reset = _step(state, pending.output, label, model)
    # 2. Score the change as it is.
    scores, steps, loss = state.scores, 0, None
    if pending.is_published:
        scores = scores.with_outcome(pending.change, pending.calibrated_change, change)
        steps = 0 if was_reset else state.steps + 1
        loss = _squared_error(pending.change / pending.scale, change / pending.scale)
    after = state.replace(
        learner=learner,
        head=head,
        scores=scores,
        steps=steps,
        calibration=state.calibration.with_outcome(pending.output, label, model.card.shrinkage),
        evidence=_evidence(state, pending, change, model),
    )
    return after, StepReport(previous, loss, was_reset)


def _outcome(pending: PendingPrediction, change: float | None) -> Outcome | None:
    """Return a published prediction with its outcome."""
    if not pending.is_published:
        return None
    return Outcome(
        pending.open_time_ms,
        pending.model_version,
        pending.change,
        pending.calibrated_change,
        change,
    )


def _evidence(
    state: SymbolState, pending: PendingPrediction, change: float, model: Model
) -> Evidence:
    """Return the evidence after an outcome; one that training has seen is none."""
    if pending.open_time_ms <= model.card.trained_through_ms:
        return state.evidence
    forecast, outcome = pending.calibrated_change / pending.scale, change / pending.scale
    return state.evidence.with_outcome(forecast, outcome, model.card.evidence)


def _explained_change(state: SymbolState, market_change: float | None, model: Model) -> float:
    if market_change is None:
        return 0.0
    return model.feature_set.explained_change(symbol_features(state).carry, market_change)


def _squared_error(output: float, label: float) -> float | None:
    error = output - label
    return error * error if isfinite(error * error) else None


def _step(
    state: SymbolState, output: float, label: float, model: Model
) -> tuple[Learner | None, Head | None, bool]:
    """Make one step of what the card says learns.

    Returns:
        The learner and the head, and whether they are back at the model's because the step was not
        finite.
    """
    if not isfinite(output - label):
        return None, None, True
    learner = (
        _step_learner(state, output, label, model) if model.steps_by_gradient else state.learner
    )
    head = _step_head(state, label, model) if model.steps_head else state.head
    is_finite = (learner is None or learner.is_finite) and (head is None or head.is_finite)
    return (learner, head, False) if is_finite else (None, None, True)


def _step_learner(state: SymbolState, output: float, label: float, model: Model) -> Learner:
    # The error in float32, as the kernel computes it in a batch.
    with np.errstate(over="ignore"):  # a change beyond what a float32 holds
        error = np.float32(output) - np.float32(label)
    # Huber's loss: one wild candle must not throw the weights away.
    delta = np.float32(model.card.huber_delta)
    clipped = min(max(error, -delta), delta)
    # Error x Jacobian is the gradient. The Jacobian needs no label, so idle time has computed it
    # already: at the close only this product and the optimiser are left.
    learner, jacobian = state.learner or model.base_learner, pending_jacobian(state, model)
    return model.network.step(learner, model.card.optimiser, clipped, jacobian)


def _step_head(state: SymbolState, label: float, model: Model) -> Head:
    prior = model.head_prior
    if prior is None:
        raise ValueError(f"model {model.version} has no head")
    return prior.learn(symbol_head(state, model), pending_head_inputs(state, model), label)
