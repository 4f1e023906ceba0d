"""Learn from the outcome of a prediction: scores, calibration and one optimiser step."""

from dataclasses import dataclass

import numpy as np

from shared.core.model.optimiser import Learner
from shared.core.online.calibration import Calibration
from shared.core.online.model import Model
from shared.core.online.network_io import pending_jacobian
from shared.core.online.prediction import Outcome
from shared.core.online.scores import Scores
from shared.core.online.state import PendingPrediction, SymbolState


@dataclass(frozen=True, slots=True)
class StepResult:
    """A symbol's learner, scores and calibration after a candle, and how the step went."""

    learner: Learner | None
    scores: Scores
    calibration: Calibration
    previous: Outcome | None = None  # the prediction that the candle is the outcome of
    loss: float | None = None  # squared error in units of the change scale; None without a step
    was_reset: bool = False  # the step was not finite: back to the model's weights


def learn(state: SymbolState, change: float | None, model: Model | None) -> StepResult:
    """Score the pending prediction and make one optimiser step on it, if its outcome is known.

    Args:
        state: the state before the candle.
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
    label = change / pending.scale
    scores = state.scores.with_outcome(pending.change, pending.calibrated_change, change)
    calibration = state.calibration.with_outcome(pending.output, label, model.card.shrinkage)
    learner, loss = _optimise(state, pending, label, model)
    after = learner or model.base_learner
    return StepResult(after, scores, calibration, previous, loss, was_reset=learner is None)


def _optimise(
    state: SymbolState, pending: PendingPrediction, label: float, model: Model
) -> tuple[Learner | None, float | None]:
    """Make one step on the pending prediction's error.

    Returns:
        The learner, None if it is not finite; the loss, None if the error is not finite.
    """
    # 1. The error in float32, as the kernel computes it in a batch.
    with np.errstate(over="ignore"):  # a change beyond what a float32 holds
        error = np.float32(pending.output) - np.float32(label)
    if not np.isfinite(error):
        return None, None
    loss = float(error) * float(error)
    # 2. Clip it (Huber's loss): one wild candle must not throw the weights away.
    delta = np.float32(model.card.huber_delta)
    clipped = min(max(error, -delta), delta)
    # 3. Error x Jacobian is the gradient. The Jacobian needs no label, so idle time has computed
    #    it already: at the close only this product and the optimiser are left.
    jacobian = pending_jacobian(state, model)
    learner = model.network.step(
        state.learner or model.base_learner, model.card.optimiser, clipped, jacobian
    )
    return learner if learner.is_finite else None, loss
