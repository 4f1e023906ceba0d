"""Fits a network: with the kernel, or with Keras where there is dropout."""

import os
import threading
from dataclasses import replace

from services.trainer.data.dataset import Dataset
from services.trainer.fitting.checkpoints import fit_digest
from services.trainer.fitting.kernel_backend import InitialWeights, fit_with_kernel
from services.trainer.fitting.options import FitOptions, FitResult
from services.trainer.fitting.training_loop import NO_CALLBACKS, FitCallbacks
from shared.core.model.architecture import Architecture


def fit(
    architecture: Architecture,
    dataset: Dataset,
    options: FitOptions,
    stop: threading.Event,
    threads: int | None = None,
    callbacks: FitCallbacks = NO_CALLBACKS,
) -> FitResult:
    """Train a network from Keras' initial weights; return the weights of its best epoch.

    Without dropout the kernel fits: from the same initial weights come the same bits on any number
    of threads and any processor, interrupted or not. (Keras' initial weights are one seed's on one
    machine; their last bits are not promised on another.) With dropout, which the kernel does not
    have, Keras fits.

    Args:
        architecture: the network's.
        dataset: windows and labels.
        options: of the fit.
        stop: ends the fit early, with the epochs that are complete.
        threads: of the kernel; None: one for each processor.
        callbacks: score epochs in place of the validation loss, and keep a checkpoint.
    """
    # Here and not above: TensorFlow takes seconds to import, and only a fit needs it.
    from services.trainer.fitting.keras_backend import fit_with_keras, initial_weights

    weights = initial_weights(architecture, options.seed)
    if callbacks.checkpoints is not None:
        digest = fit_digest(architecture, weights, dataset, options)
        callbacks = replace(callbacks, checkpoints=callbacks.checkpoints.for_fit(digest))
    if options.dropout > 0:
        return fit_with_keras(architecture, dataset, options, stop, callbacks)
    start = InitialWeights(architecture, weights)
    return fit_with_kernel(start, dataset, options, stop, threads or os.cpu_count() or 1, callbacks)
