"""Fits the head that every symbol starts from."""

from typing import Final

import numpy as np

from services.trainer.data.dataset import Dataset, Int64s, spread_evenly
from shared.core.arrays import Float32s, Float64s
from shared.core.model.architecture import Architecture
from shared.core.model.head import Head, head_of_information
from shared.core.model.network import Network

_WINDOWS: Final = 50_000  # that the information is of, at most
_BATCH: Final = 2_500
_RIDGE: Final = 1e-4  # of the information: for inputs that never moved in training


def fit_head(architecture: Architecture, weights: Float32s, dataset: Dataset) -> Head:
    """Return the head of a fitted network, which forecasts what the network does.

    Its weights are the network's last layer, and zeros for the newest row of features. How certain
    they are is the mean of the products of its inputs over the training windows, all symbols
    together: the g-prior of Zellner (1986), under which a symbol's own head differs from the common
    one rather in what varies little than in what varies much.

    Args:
        architecture: the network's.
        weights: float32 (weights,), flat in Keras' order.
        dataset: its training windows are used.

    Raises:
        BadInput: the weights are not finite.
    """
    network, inputs = Network(architecture), architecture.widths[-1] + architecture.features + 1
    ends = spread_evenly(dataset.training_ends, _WINDOWS)
    information = np.eye(inputs) * _RIDGE
    for at in range(0, len(ends), _BATCH):
        batch = _inputs(network, weights, dataset, ends[at : at + _BATCH])
        information += batch.T @ batch / len(ends)
    last_layer = weights[-(architecture.widths[-1] + 1) :].astype(np.float64)
    row = np.zeros(architecture.features)
    return head_of_information(np.concatenate([last_layer[:-1], row, last_layer[-1:]]), information)


def _inputs(network: Network, weights: Float32s, dataset: Dataset, ends: Int64s) -> Float64s:
    """Return the inputs (n, inputs) of the windows that end at these rows."""
    windows = dataset.windows(ends)
    _, hidden = network.hidden_many(weights, windows)
    return np.column_stack([hidden, windows[:, -1], np.ones(len(ends))]).astype(np.float64)
