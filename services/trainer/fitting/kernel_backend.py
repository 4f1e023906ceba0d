"""Fitting with the kernel that predicts: faster than TensorFlow on a processor, and the same bits on each."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from math import fsum
from typing import Final

import numpy as np

from services.trainer.data.dataset import Dataset, Int64s, draw_epoch, spread_evenly
from services.trainer.fitting.options import FitOptions, FitResult
from services.trainer.fitting.training_loop import NO_CALLBACKS, Arrays, FitCallbacks, fit_by_epochs
from shared.core.arrays import Float32s, Float64s, read_only32
from shared.core.model.architecture import Architecture
from shared.core.model.network import Network
from shared.core.model.optimiser import Learner, Optimiser, apply_gradient, new_learner
from shared.reporting.progress import EpochProgress

# A batch is cut into so many parts whatever the number of threads: how a sum is cut decides its last bits.
PARTS: Final = 32
_VALIDATED_AT_ONCE: Final = 2048  # windows between two looks at the stop signal


@dataclass(frozen=True, slots=True, eq=False)
class InitialWeights:
    """What a fit begins with: a network and its weights, float32 (weight_count,)."""

    architecture: Architecture
    weights: Float32s


def fit_with_kernel(
    start: InitialWeights,
    dataset: Dataset,
    schedule: FitOptions,
    stop: threading.Event,
    threads: int,
    guidance: FitCallbacks = NO_CALLBACKS,
) -> FitResult:
    """Train from these weights; return them as they were at the best epoch.

    The best epoch is the one with the lowest loss over the validation windows, or the one that `guidance` judges best.
    The optimiser is Adam as Keras has it, on the mean loss of each batch; there is no dropout.

    The result is a function of weights, dataset, schedule and judgements, **to the bit**, whatever the number of
    threads, the processor and the interruptions: the arithmetic is the kernel's, what the parts of a batch come to is
    summed in their order, and an epoch's draw of windows depends on its number.

    Once `stop` is set it ends early, without the epoch it is in; with the weights given if that is the first.

    Raises:
        ValueError: weights or windows do not fit the architecture.
    """
    with ThreadPoolExecutor(threads) as pool:
        pass_over = _Pass(Network(start.architecture), dataset, schedule, stop, pool)
        return fit_by_epochs(
            _KernelLearning(pass_over, new_learner(start.weights)), schedule, guidance
        )


def compute_losses(outputs: Float32s, labels: Float32s, huber_delta: float) -> Float64s:
    """Return each window's loss (n,): the squared error, and beyond huber_delta a straight line of the same slope.

    >>> compute_losses(np.float32([0.5, 3.0]), np.float32([0.0, 0.0]), 1.0)
    array([0.25, 5.  ])
    """
    errors = np.abs(outputs.astype(np.float64) - labels)
    within = np.minimum(errors, huber_delta)
    return within * (2.0 * errors - within)


class _KernelLearning:
    """A learner, epoch by epoch."""

    def __init__(self, pass_over: "_Pass", learner: Learner) -> None:
        self._pass, self._learner, self._mean = pass_over, learner, learner.weights
        self._validation = spread_evenly(
            pass_over.dataset.validation_ends, pass_over.schedule.validation_windows
        )

    @property
    def weights(self) -> Float32s:
        return self._mean

    @property
    def arrays(self) -> Arrays:
        one = self._learner
        return {
            "parameters": one.parameters,
            "mean": self._mean,
            "counts": np.array([one.steps, one.is_finite], dtype=np.int64),
            "powers": np.array([one.beta_1_power, one.beta_2_power], dtype=np.float64),
        }

    def go_on_from(self, arrays: Arrays) -> None:
        steps, is_finite = arrays["counts"].tolist()
        beta_1_power, beta_2_power = arrays["powers"].tolist()
        parameters = read_only32(np.ascontiguousarray(arrays["parameters"]))
        self._mean = read_only32(np.ascontiguousarray(arrays["mean"]))
        self._learner = Learner(parameters, steps, beta_1_power, beta_2_power, bool(is_finite))

    def epoch(self, number: int, progress: EpochProgress) -> tuple[float, float] | None:
        learner, mean, loss = self._pass.training(number, self._learner, self._mean, progress)
        validation_loss = self._pass.validation(self._validation, mean)
        if self._pass.stop.is_set():
            return None
        self._learner, self._mean = learner, mean
        return loss, validation_loss


@dataclass(frozen=True, slots=True)
class _Pass:
    """One pass over windows, batch by batch; short if told to stop."""

    network: Network
    dataset: Dataset
    schedule: FitOptions
    stop: threading.Event
    pool: ThreadPoolExecutor

    def training(
        self, epoch: int, learner: Learner, mean: Float32s, progress: EpochProgress
    ) -> tuple[Learner, Float32s, float]:
        """Make an epoch's steps; return what was learnt, its mean, and the mean loss, each window's before its step."""
        s, windows = self.schedule, len(self.dataset.training_ends)
        ends = draw_epoch(self.dataset.training_ends, s.windows_per_epoch, s.seed, epoch)
        progress.begin(epoch, s.steps(windows))
        loss, seen = 0.0, 0
        for batch in self._batches(ends, s.batch_size):
            outputs, gradient = self._gradient(learner.weights, batch)
            step = learner.steps
            optimiser = Optimiser(rate=s.rate(step, windows))
            learner = apply_gradient(learner, optimiser, np.float32(1.0 / len(batch)), gradient)
            mean = s.mean_after(step, mean, learner.weights)
            loss += self._loss(outputs, batch)
            seen += len(batch)
            progress.advance(loss / seen)
        return learner, mean, loss / max(seen, 1)

    def validation(self, ends: Int64s, weights: Float32s) -> float:
        """Return the mean loss over windows."""
        batches = self._batches(ends, _VALIDATED_AT_ONCE)
        return sum(self._loss(self._outputs(weights, batch), batch) for batch in batches) / len(
            ends
        )

    def _batches(self, ends: Int64s, size: int) -> Iterator[Int64s]:
        for at in range(0, len(ends), size):
            if self.stop.is_set():
                return
            yield ends[at : at + size]

    def _gradient(self, weights: Float32s, batch: Int64s) -> tuple[Float32s, Float32s]:
        """Return the batch's outputs (n,), and the gradient (weights,) of the sum of its losses."""

        def of_part(ends: Int64s) -> tuple[Float32s, Float32s]:
            windows, labels = self.dataset.windows(ends), self.dataset.labels[ends]
            return self.network.batch_gradient(weights, windows, labels, self.schedule.huber_delta)

        outputs, gradients = zip(*self.pool.map(of_part, _parts(batch)), strict=True)
        return np.concatenate(outputs), reduce(np.add, gradients)

    def _outputs(self, weights: Float32s, batch: Int64s) -> Float32s:
        def of_part(ends: Int64s) -> Float32s:
            return self.network.predict_many(weights, self.dataset.windows(ends))

        return np.concatenate(list(self.pool.map(of_part, _parts(batch))))

    def _loss(self, outputs: Float32s, batch: Int64s) -> float:
        """Return the sum of the batch's losses, rounded once: no order of summing is in it."""
        return fsum(compute_losses(outputs, self.dataset.labels[batch], self.schedule.huber_delta))


def _parts(batch: Int64s) -> list[Int64s]:
    return np.array_split(batch, min(PARTS, len(batch)))
