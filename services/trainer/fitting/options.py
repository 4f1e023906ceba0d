"""What a fit is told, and what it gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final

import numpy as np

from shared.core.arrays import Float32s

_HASTE: Final = 8  # how fast a mean forgets the weights that a training began with


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How long, how fast and towards what to train."""

    epochs: int
    patience: int  # epochs without a better one before it ends
    windows_per_epoch: int
    validation_windows: int
    batch_size: int
    learning_rate: float
    dropout: float
    seed: int
    huber_delta: float = (
        inf  # the loss is the squared error up to this error, and a straight line beyond it
    )
    is_falling: bool = (
        False  # the learning rate: along a straight line, to zero after the last epoch
    )
    averaging: float = (
        0.0  # memory, by step, of the mean of the weights that is taken; 0: the newest weights are
    )

    def steps(self, windows: int) -> int:
        """Return how many steps an epoch makes, given so many training windows."""
        return -(-min(windows, self.windows_per_epoch) // self.batch_size)

    def rate(self, step: int, windows: int) -> float:
        """Return the learning rate of a step, counted from 0 over all epochs."""
        if not self.is_falling:
            return self.learning_rate
        return self.learning_rate * (1.0 - step / (self.epochs * self.steps(windows)))

    def mean_after(self, step: int, mean: Float32s, weights: Float32s) -> Float32s:
        """Return the mean of the weights after a step: of the last ninth of all steps, and of no more than remembered.

        A training's newest weights wander about those that they would settle at. Shamir and Zhang, Stochastic gradient
        descent for non-smooth optimization, 2013: polynomial-decay averaging; then exponentially weighted.
        """
        newest = max(1.0 - self.averaging, (_HASTE + 1) / (step + _HASTE + 1))
        return weights if newest == 1.0 else mean + np.float32(newest) * (weights - mean)


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """Weights of the best epoch, flat in Keras' order, and what each epoch came to.

    Losses are means on the network's scale. Skills are those of the online forecast, None where there is none; with
    no skills at all, the validation loss says which epoch is the best.
    """

    weights: Float32s
    training_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]
    skills: tuple[float | None, ...] = ()

    @property
    def epochs(self) -> int:
        """How many epochs are complete."""
        return len(self.training_losses)

    @property
    def best(self) -> int:
        """The best epoch, counted from 0; of none, 0."""
        lost = (
            [inf if s is None else -s for s in self.skills]
            if self.skills
            else self.validation_losses
        )
        return best_epoch(lost) if lost else 0

    def with_epoch(
        self, losses: tuple[float, float], skill: tuple[float | None, ...], weights: Float32s
    ) -> "FitResult":
        """Return this with one more epoch: its training and validation loss, its skill if judged, its weights."""
        training, validation = losses
        longer = FitResult(
            weights,
            (*self.training_losses, training),
            (*self.validation_losses, validation),
            (*self.skills, *skill),
        )
        if longer.best == self.epochs:
            return longer
        return FitResult(
            self.weights, longer.training_losses, longer.validation_losses, longer.skills
        )

    def is_over(self, schedule: FitOptions) -> bool:
        """Say whether there is no further epoch."""
        return self.epochs >= schedule.epochs or self.epochs - 1 - self.best >= schedule.patience


def best_epoch(losses: Sequence[float]) -> int:
    """Return which loss is the lowest, the first of equals; one that is no finite number is none.

    >>> best_epoch([float("nan"), 3.0, 2.0, 2.0])
    2
    """
    return min(range(len(losses)), key=lambda at: losses[at] if isfinite(losses[at]) else inf)
