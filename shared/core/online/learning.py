"""Learn from the outcome of a prediction: scores, calibration and one step of what learns."""

from dataclasses import dataclass, replace

import numpy as np

from shared.core.model.head import Head
from shared.core.model.optimiser import Learner
from shared.core.online.model import Model
from shared.core.online.network_io import pending_head_inputs, pending_jacobian, symbol_head
from shared.core.online.prediction import Outcome
from shared.core.online.state import PendingPrediction, SymbolState


@dataclass(frozen=True, slots=True)
class StepReport:
    """How a step went."""

    previous: Outcome | None = None  # the prediction that the candle is the outcome of
    loss: float | None = None  # its squared error in units of the change scale
    was_reset: bool = False  # the step was not finite: back to the model's weights


def learn(
    state: SymbolState, change: float | None, model: Model | None
) -> tuple[SymbolState, StepReport]:
    """Score the pending prediction and make one step on it, if its outcome is known.

    Args:
        state: the state before the candle.
        change: the label, close / close before - 1; None across a gap.
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
    # 1. The error in float32, as the kernel computes it in a batch.
    label = change / pending.scale
    with np.errstate(over="ignore"):  # a change beyond what a float32 holds
        error = np.float32(pending.output) - np.float32(label)
    # 2. One step of all that learns; what is not finite returns to the model.
    learner, head, was_reset = _step(state, label, error, model)
    scores, steps, loss = state.scores, 0, None
    if pending.is_published:
        scores = scores.with_outcome(pending.change, pending.calibrated_change, change)
        steps = 0 if was_reset else state.steps + 1
        loss = float(error) * float(error) if np.isfinite(error) else None
    after = replace(
        state,
        learner=learner,
        head=head,
        scores=scores,
        steps=steps,
        calibration=state.calibration.with_outcome(pending.output, label, model.card.shrinkage),
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


def _step(
    state: SymbolState, label: float, error: np.float32, model: Model
) -> tuple[Learner | None, Head | None, bool]:
    """Make one step of what the card says learns.

    Returns:
        The learner and the head, and whether they are back at the model's because the step was not
        finite.
    """
    if not np.isfinite(error):
        return None, None, True
    learner = _step_learner(state, error, model) if model.steps_by_gradient else state.learner
    head = _step_head(state, label, model) if model.steps_head else state.head
    is_finite = (learner is None or learner.is_finite) and (head is None or head.is_finite)
    return (learner, head, False) if is_finite else (None, None, True)


def _step_learner(state: SymbolState, error: np.float32, model: Model) -> Learner:
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
