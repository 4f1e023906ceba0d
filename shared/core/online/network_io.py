"""Between a symbol's state and the network: its input, its output, and the Jacobian."""

from dataclasses import replace

import numpy as np

from shared.core.arrays import Float32s
from shared.core.model.scaler import Scaler, fit_min_max_scaler
from shared.core.online.model import Model
from shared.core.online.state import SymbolState
from shared.core.online.symbol_history import symbol_features


def network_input(state: SymbolState, model: Model) -> Float32s:
    """Return the scaled window (window_length, features), float32, up to the newest candle."""
    rows = symbol_features(state).rows
    if not model.feature_set.needs_scaler:
        return rows.astype(np.float32)
    return np.ascontiguousarray(_scaler(state, model).apply(rows))


def run_network(
    state: SymbolState, model: Model, *, with_jacobian: bool
) -> tuple[np.float32, Float32s | None]:
    """Return the network's output for the window, and its Jacobian (weights,) if asked for."""
    weights, window = (state.learner or model.base_learner).weights, network_input(state, model)
    if with_jacobian:
        return model.network.jacobian(weights, window)
    return model.network.predict(weights, window), None


def pending_jacobian(state: SymbolState, model: Model) -> Float32s:
    """Return the Jacobian (weights,) of the pending prediction; computed if idle time had none."""
    if state.jacobian is not None:
        return state.jacobian
    learner = state.learner or model.base_learner
    return model.network.jacobian(learner.weights, network_input(state, model))[1]


def fit_missing_scaler(state: SymbolState, model: Model) -> SymbolState:
    """Fit a scaler to the first full window of a symbol that the card has none for."""
    known = state.scaler is not None or state.symbol in model.card.scalers
    if known or not model.feature_set.needs_scaler:
        return state
    return replace(state, scaler=fit_min_max_scaler(symbol_features(state).rows))


def _scaler(state: SymbolState, model: Model) -> Scaler:
    scaler = model.card.scalers.get(state.symbol) or state.scaler
    if scaler is None:
        raise ValueError(f"{state.symbol} has no scaler")
    return scaler
