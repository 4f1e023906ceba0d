"""Between a symbol's state and the network: its input, and the units of its output.

The network's output is, as the card's `target` says,

    change    the next change in units of `scale`, or
    level     the next close on the symbol's scaler: zero change is where the last close is.

All else here measures in changes; only the gradient is taken in units of the output.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from shared.core.arrays import Float32s
from shared.core.model.scaler import Scaler, fit_min_max_scaler
from shared.core.online.model import Model
from shared.core.online.state import SymbolState
from shared.core.online.symbol_history import symbol_features

# Lower bound on the sensitivity of a level to a change; avoids dividing by about 0.
_LEAST_SENSITIVITY: Final = 1e-30
# Bound on a level as a change, in units of the scale: keeps predictions finite when a close is far
# outside the range that the scaler was fitted on.
_LARGEST_OUTPUT: Final = 1e9


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


def output_to_change(output: float, state: SymbolState, scale: float, model: Model) -> float:
    """Return the change that an output means, in units of `scale`, as a float32."""
    column = _close_column(model)
    if column is None:
        return output
    scaler = _scaler(state, model)
    unchanged = state.last_close * scaler.scale[column] + scaler.offset[column]
    change = (output - unchanged) / _sensitivity(state, scale, model, column)
    return float(np.float32(min(max(change, -_LARGEST_OUTPUT), _LARGEST_OUTPUT)))


def error_to_output(
    error: np.float32, state: SymbolState, scale: float, model: Model
) -> np.float32:
    """Return an error in units of `scale` as one of the network's output: the Jacobian's factor."""
    column = _close_column(model)
    if column is None:
        return error
    with np.errstate(over="ignore", invalid="ignore"):  # the step reports what is not finite
        return error * np.float32(_sensitivity(state, scale, model, column))


def _close_column(model: Model) -> int | None:
    """Return the column on whose scale the output is; None if the output is a change."""
    return model.feature_set.close_column if model.card.target == "level" else None


def _sensitivity(state: SymbolState, scale: float, model: Model, column: int) -> float:
    """Return by how much a level rises if the next change rises by `scale`."""
    sensitivity = state.last_close * _scaler(state, model).scale[column] * scale
    return max(sensitivity, _LEAST_SENSITIVITY)


def _scaler(state: SymbolState, model: Model) -> Scaler:
    scaler = model.card.scalers.get(state.symbol) or state.scaler
    if scaler is None:
        raise ValueError(f"{state.symbol} has no scaler")
    return scaler
