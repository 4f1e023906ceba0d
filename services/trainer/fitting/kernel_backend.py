"""Fits with the kernel that predicts: faster than TensorFlow on a CPU, the same bits on each."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from math import fsum
from typing import Final

import numpy as np

from services.trainer.data.dataset import Dataset, Int64s, draw_epoch, spread_evenly
from services.trainer.fitting.checkpoints import Arrays
from services.trainer.fitting.options import FitOptions, FitResult
from services.trainer.fitting.training_loop import NO_CALLBACKS, FitCallbacks, fit_by_epochs
from shared.core.arrays import Float32s, Float64s, read_only32
from shared.core.model.architecture import Architecture
from shared.core.model.network import Network
from shared.core.model.optimiser import Learner, Optimiser, apply_gradient, new_learner
from shared.reporting.progress import EpochProgress

# A batch is cut into this many parts on any number of threads: the cuts decide a sum's last bits.
PARTS: Final = 32
_VALIDATION_BATCH: Final = 2048  # windows between two checks of the stop signal


@dataclass(frozen=True, slots=True, eq=False)
class InitialWeights:
    """A network and the weights, float32 (weight_count,), that a fit begins with."""

    architecture: Architecture
    weights: Float32s


def fit_with_kernel(
    start: InitialWeights,
    dataset: Dataset,
    options: FitOptions,
    stop: threading.Event,
    threads: int,
    callbacks: FitCallbacks = NO_CALLBACKS,
) -> FitResult:
    """Train from these weights; return those of the best epoch.

    The best epoch has the lowest loss over the validation windows, or the highest score of
    `callbacks`. The optimiser is Keras' Adam, on the mean loss of each batch.

    The result is a function of weights, dataset, options and scores, **to the bit**, on any number
    of threads, any processor and with any interruptions: the arithmetic is the kernel's, the parts
    of a batch are summed in their order, and an epoch's draw of windows depends on its number.

    Once `stop` is set the fit ends without the epoch it is in.

    Raises:
        ValueError: weights or windows do not fit the architecture.
    """
    with ThreadPoolExecutor(threads) as pool:
        batches = _BatchRunner(Network(start.architecture), dataset, options, stop, pool)
        backend = _KernelBackend(batches, new_learner(start.weights))
        return fit_by_epochs(backend, options, callbacks)


def compute_losses(outputs: Float32s, labels: Float32s, huber_delta: float) -> Float64s:
    """Return each window's loss (n,): the squared error, beyond huber_delta its tangent.

    >>> compute_losses(np.float32([0.5, 3.0]), np.float32([0.0, 0.0]), 1.0)
    array([0.25, 5.  ])
    """
    errors = np.abs(outputs.astype(np.float64) - labels)
    within = np.minimum(errors, huber_delta)
    return within * (2.0 * errors - within)


class _KernelBackend:
    """A learner that is trained by epochs."""

    def __init__(self, batches: "_BatchRunner", learner: Learner) -> None:
        self._batches, self._learner, self._mean = batches, learner, learner.weights
        self._validation = spread_evenly(
            batches.dataset.validation_ends, batches.options.validation_windows
        )

    @property
    def weights(self) -> Float32s:
        return self._mean

    @property
    def arrays(self) -> Arrays:
        learner = self._learner
        return {
            "parameters": learner.parameters,
            "mean": self._mean,
            "counts": np.array([learner.steps, learner.is_finite], dtype=np.int64),
            "powers": np.array([learner.beta_1_power, learner.beta_2_power], dtype=np.float64),
        }

    def restore(self, arrays: Arrays) -> None:
        steps, is_finite = arrays["counts"].tolist()
        beta_1_power, beta_2_power = arrays["powers"].tolist()
        parameters = read_only32(np.ascontiguousarray(arrays["parameters"]))
        self._mean = read_only32(np.ascontiguousarray(arrays["mean"]))
        self._learner = Learner(parameters, steps, beta_1_power, beta_2_power, bool(is_finite))

    def run_epoch(self, number: int, progress: EpochProgress) -> tuple[float, float] | None:
        learner, mean, loss = self._batches.train(number, self._learner, self._mean, progress)
        validation_loss = self._batches.validate(self._validation, mean)
        if self._batches.stop.is_set():
            return None  # the pass is incomplete: the learner stays at the last whole epoch
        self._learner, self._mean = learner, mean
        return loss, validation_loss


@dataclass(frozen=True, slots=True)
class _BatchRunner:
    """Passes over windows, batch by batch; a stop signal shortens them."""

    network: Network
    dataset: Dataset
    options: FitOptions
    stop: threading.Event
    pool: ThreadPoolExecutor

    def train(
        self, epoch: int, learner: Learner, mean: Float32s, progress: EpochProgress
    ) -> tuple[Learner, Float32s, float]:
        """Make an epoch's steps.

        Returns:
            The learner, the mean of its weights, and the mean loss of the windows, each before the
            step on it.
        """
        options, windows = self.options, len(self.dataset.training_ends)
        ends = draw_epoch(
            self.dataset.training_ends, options.windows_per_epoch, options.seed, epoch
        )
        progress.begin(epoch, options.steps_per_epoch(windows))
        loss, seen = 0.0, 0
        for batch in self._cut(ends, options.batch_size):
            outputs, gradient = self._gradient(learner.weights, batch)
            step, share = learner.steps, np.float32(1.0 / len(batch))
            optimiser = Optimiser(rate=options.learning_rate_at(step, windows))
            learner = apply_gradient(learner, optimiser, share, gradient)
            mean = options.average_weights(step, mean, learner.weights)
            loss += self._loss(outputs, batch)
            seen += len(batch)
            progress.advance(loss / seen)
        return learner, mean, loss / max(seen, 1)

    def validate(self, ends: Int64s, weights: Float32s) -> float:
        """Return the mean loss over windows."""
        batches = self._cut(ends, _VALIDATION_BATCH)
        return sum(self._loss(self._outputs(weights, b), b) for b in batches) / len(ends)

    def _cut(self, ends: Int64s, size: int) -> Iterator[Int64s]:
        for at in range(0, len(ends), size):
            if self.stop.is_set():
                return
            yield ends[at : at + size]

    def _gradient(self, weights: Float32s, batch: Int64s) -> tuple[Float32s, Float32s]:
        """Return a batch's outputs (n,) and the gradient (weights,) of the sum of its losses."""

        def of_part(ends: Int64s) -> tuple[Float32s, Float32s]:
            windows, labels = self.dataset.windows(ends), self.dataset.labels[ends]
            return self.network.batch_gradient(weights, windows, labels, self.options.huber_delta)

        outputs, gradients = zip(*self.pool.map(of_part, _parts(batch)), strict=True)
        return np.concatenate(outputs), reduce(np.add, gradients)

    def _outputs(self, weights: Float32s, batch: Int64s) -> Float32s:
        def of_part(ends: Int64s) -> Float32s:
            return self.network.predict_many(weights, self.dataset.windows(ends))

        return np.concatenate(list(self.pool.map(of_part, _parts(batch))))

    def _loss(self, outputs: Float32s, batch: Int64s) -> float:
        """Return the sum of a batch's losses, rounded once: it does not depend on their order."""
        losses = compute_losses(outputs, self.dataset.labels[batch], self.options.huber_delta)
        return fsum(losses)


def _parts(batch: Int64s) -> list[Int64s]:
    return np.array_split(batch, min(PARTS, len(batch)))
