"""Between a symbol's state and the network: its input, its output, and what learning needs."""

from dataclasses import dataclass

import numpy as np

from shared.core.arrays import Float32s, Float64s
from shared.core.model.head import Head, head_inputs
from shared.core.model.scaler import Scaler, fit_min_max_scaler
from shared.core.online.model import Model
from shared.core.online.state import SymbolState
from shared.core.online.symbol_history import symbol_features


@dataclass(frozen=True, slots=True, eq=False)
class ForwardPass:
    """The output of a symbol's model, in units of the change scale, and what it came from."""

    output: float  # a float32
    jacobian: Float32s | None = None  # (weights,), if it was asked for
    head_inputs: Float64s | None = None  # (n,), if the model has a head


def run_model(state: SymbolState, model: Model, *, with_jacobian: bool) -> ForwardPass:
    """Run the network on a symbol's window, and the head on what the network made of it."""
    weights, window = _weights(state, model), network_input(state, model)
    if model.head_prior is None:
        return _run_network(weights, window, model, with_jacobian)
    if with_jacobian:
        _, jacobian = model.network.jacobian(weights, window)
        hidden = model.network.jacobian_hidden(jacobian)
    else:
        jacobian, (_, hidden) = None, model.network.hidden(weights, window)
    inputs = head_inputs(hidden, window[-1].astype(np.float64))
    output = np.float32(symbol_head(state, model).predict(inputs))
    return ForwardPass(float(output), jacobian, inputs)


def network_input(state: SymbolState, model: Model) -> Float32s:
    """Return the scaled window (window_length, features), float32, up to the newest candle."""
    rows = symbol_features(state).rows
    if not model.feature_set.needs_scaler:
        return rows.astype(np.float32)
    return np.ascontiguousarray(_scaler(state, model).apply(rows))


def pending_jacobian(state: SymbolState, model: Model) -> Float32s:
    """Return the Jacobian (weights,) of the pending prediction; computed if idle time had none."""
    if state.jacobian is not None:
        return state.jacobian
    return model.network.jacobian(_weights(state, model), network_input(state, model))[1]


def pending_head_inputs(state: SymbolState, model: Model) -> Float64s:
    """Return the inputs (n,) of the head for the pending prediction; computed if not at hand."""
    if state.head_inputs is not None:
        return state.head_inputs
    window = network_input(state, model)
    _, hidden = model.network.hidden(_weights(state, model), window)
    return head_inputs(hidden, window[-1].astype(np.float64))


def symbol_head(state: SymbolState, model: Model) -> Head:
    """Return a symbol's head: the model's before its first step.

    Raises:
        ValueError: the model has none.
    """
    if state.head is not None:
        return state.head
    if model.head_prior is None:
        raise ValueError(f"model {model.version} has no head")
    return model.head_prior.head


def fit_missing_scaler(state: SymbolState, model: Model) -> SymbolState:
    """Fit a scaler to the first full window of a symbol that the card has none for."""
    known = state.scaler is not None or state.symbol in model.card.scalers
    if known or not model.feature_set.needs_scaler:
        return state
    return state.replace(scaler=fit_min_max_scaler(symbol_features(state).rows))


def _run_network(
    weights: Float32s, window: Float32s, model: Model, with_jacobian: bool
) -> ForwardPass:
    if with_jacobian:
        output, jacobian = model.network.jacobian(weights, window)
        return ForwardPass(float(output), jacobian)
    return ForwardPass(float(model.network.predict(weights, window)))


def _weights(state: SymbolState, model: Model) -> Float32s:
    """Return the network's weights (weights,).

    Where network and head both learn, the head's part for the hidden vector takes the place of the
    dense layer, so that the Jacobian is that of the forecast.
    """
    weights = (state.learner or model.base_learner).weights
    if not (model.steps_head and model.steps_by_gradient):
        return weights
    head, width = symbol_head(state, model), model.card.architecture.widths[-1]
    weights = weights.copy()
    weights[-1 - width : -1] = head.weights[:width]
    weights[-1] = head.weights[-1]
    return weights


def _scaler(state: SymbolState, model: Model) -> Scaler:
    scaler = model.card.scalers.get(state.symbol) or state.scaler
    if scaler is None:
        raise ValueError(f"{state.symbol} has no scaler")
    return scaler
