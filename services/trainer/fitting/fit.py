"""Fitting: scalers with scikit-learn, networks with the kernel, or with Keras where dropout is asked for."""

import os
import threading
from dataclasses import replace

from sklearn.preprocessing import MinMaxScaler

from services.trainer.data.dataset import Dataset
from services.trainer.fitting.checkpoints import training_digest
from services.trainer.fitting.keras_backend import fit_with_keras, initial_weights
from services.trainer.fitting.kernel_backend import InitialWeights, fit_with_kernel
from services.trainer.fitting.options import FitOptions, FitResult
from services.trainer.fitting.training_loop import NO_CALLBACKS, FitCallbacks
from shared.core.arrays import Float64s
from shared.core.model.architecture import Architecture
from shared.core.model.scaler import Scaler


def fit_scaler(rows: Float64s) -> Scaler:
    """Return the symbol's scaler fitted on rows (n, features) of the training span."""
    fitted = MinMaxScaler().fit(rows)
    return Scaler(tuple(map(float, fitted.scale_)), tuple(map(float, fitted.min_)))


def fit(
    architecture: Architecture,
    dataset: Dataset,
    schedule: FitOptions,
    stop: threading.Event,
    threads: int | None = None,
    guidance: FitCallbacks = NO_CALLBACKS,
) -> FitResult:
    """Train a network from Keras' fresh weights; return it as it was at its best epoch.

    The best is the one with the lowest loss over the validation windows, or the one that `guidance` judges best.
    Ends early, with what it has, once `stop` is set; with a checkpoint, the next fit of the same goes on there.
    Without dropout the kernel trains, on as many threads as given or there are processors: from the same fresh weights
    come the same bits, on any number of threads and any processor, interrupted or not. (Keras' fresh weights are one
    seed's on one machine; their last bits are not promised on another.)
    With dropout, which the kernel does not have, Keras trains.
    """
    weights = initial_weights(architecture, schedule.seed)
    if guidance.checkpoint is not None:
        of_this = guidance.checkpoint.of(training_digest(architecture, weights, dataset, schedule))
        guidance = replace(guidance, checkpoint=of_this)
    if schedule.dropout > 0:
        return fit_with_keras(architecture, dataset, schedule, stop, guidance)
    start = InitialWeights(architecture, weights)
    return fit_with_kernel(start, dataset, schedule, stop, threads or os.cpu_count() or 1, guidance)
