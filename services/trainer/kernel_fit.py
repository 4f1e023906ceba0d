"""Fitting with the kernel that predicts: faster than TensorFlow on a processor, and the same bits on each."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from math import fsum, inf, isfinite
from typing import Final

import numpy as np

from services.trainer.dataset import Dataset, Int64s, drawn_for_epoch, spread
from services.trainer.report import EpochProgress, counting_epochs
from services.trainer.schedule import Fitted, Schedule
from shared.core.arrays import Float32s, Float64s
from shared.core.card import Architecture, Optimiser
from shared.core.network import Learner, Network, fresh

# A batch is cut into so many parts whatever the number of threads: how a sum is cut decides its last bits.
PARTS: Final = 32
_VALIDATED_AT_ONCE: Final = 2048  # windows between two looks at the stop signal


def fit_with_kernel(
    architecture: Architecture,
    weights: Float32s,
    dataset: Dataset,
    schedule: Schedule,
    stop: threading.Event,
    threads: int,
) -> Fitted:
    """Train from these weights, float32 (weight_count,); return them as they were at the best epoch.

    The best epoch is the one with the lowest loss over the validation windows. The optimiser is Adam as Keras has it,
    on the mean loss of each batch; there is no dropout.

    The result is a function of weights, dataset and schedule, **to the bit**, whatever the number of threads and the
    processor: the arithmetic is the kernel's, and what the parts of a batch come to is summed in their order.

    Once `stop` is set it ends early, without the epoch it is in; with the weights given if that is the first.

    Raises:
        ValueError: weights or windows do not fit the architecture.
    """
    network, optimiser = Network(architecture), Optimiser(rate=schedule.learning_rate)
    validation = spread(dataset.validation_ends, schedule.validation_windows)
    learner, best_weights = fresh(weights), weights
    training_losses, validation_losses = list[float](), list[float]()
    with ThreadPoolExecutor(threads) as pool, counting_epochs(schedule.epochs) as progress:
        pass_over = _Pass(network, dataset, schedule, stop, pool)
        for epoch in range(schedule.epochs):
            learner, loss = pass_over.training(epoch, learner, optimiser, progress)
            validation_loss = pass_over.validation(validation, learner.weights)
            if stop.is_set():
                break
            progress.end(epoch, loss, validation_loss)
            training_losses.append(loss)
            validation_losses.append(validation_loss)
            best = best_epoch(validation_losses)
            if best == epoch:
                best_weights = learner.weights
            if epoch - best >= schedule.patience:
                break
    return Fitted(best_weights.copy(), tuple(training_losses), tuple(validation_losses))


def best_epoch(losses: Sequence[float]) -> int:
    """Return which loss is the lowest, the first of equals; one that is no finite number is none.

    >>> best_epoch([float("nan"), 3.0, 2.0, 2.0])
    2
    """
    return min(range(len(losses)), key=lambda at: losses[at] if isfinite(losses[at]) else inf)


def losses_of(outputs: Float32s, labels: Float32s, huber_delta: float) -> Float64s:
    """Return each window's loss (n,): the squared error, and beyond huber_delta a straight line of the same slope.

    >>> losses_of(np.float32([0.5, 3.0]), np.float32([0.0, 0.0]), 1.0)
    array([0.25, 5.  ])
    """
    errors = np.abs(outputs.astype(np.float64) - labels)
    within = np.minimum(errors, huber_delta)
    return within * (2.0 * errors - within)


@dataclass(frozen=True, slots=True)
class _Pass:
    """One pass over windows, batch by batch; short if told to stop."""

    network: Network
    dataset: Dataset
    schedule: Schedule
    stop: threading.Event
    pool: ThreadPoolExecutor

    def training(
        self, epoch: int, learner: Learner, optimiser: Optimiser, progress: EpochProgress
    ) -> tuple[Learner, float]:
        """Make an epoch's steps; return what was learnt and the mean loss, each window's before its step."""
        s = self.schedule
        ends = drawn_for_epoch(self.dataset.training_ends, s.windows_per_epoch, s.seed, epoch)
        progress.begin(epoch, -(-len(ends) // s.batch_size))
        loss, seen = 0.0, 0
        for batch in self._batches(ends, s.batch_size):
            outputs, gradient = self._gradient(learner.weights, batch)
            learner = self.network.descend(learner, optimiser, np.float32(1.0 / len(batch)), gradient)
            loss += self._loss(outputs, batch)
            seen += len(batch)
            progress.advance(loss / seen)
        return learner, loss / max(seen, 1)

    def validation(self, ends: Int64s, weights: Float32s) -> float:
        """Return the mean loss over windows."""
        batches = self._batches(ends, _VALIDATED_AT_ONCE)
        return sum(self._loss(self._outputs(weights, batch), batch) for batch in batches) / len(ends)

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
        return fsum(losses_of(outputs, self.dataset.labels[batch], self.schedule.huber_delta))


def _parts(batch: Int64s) -> list[Int64s]:
    return np.array_split(batch, min(PARTS, len(batch)))
