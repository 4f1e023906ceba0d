"""Options of a fit, and its result, epoch by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Final

import numpy as np

from shared.core.arrays import Float32s

_DECAY_POWER: Final = 8  # of polynomial-decay averaging: how fast it forgets the initial weights


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How long a fit takes, and what it minimises."""

    epochs: int
    patience: int  # epochs without a better one that end the fit
    windows_per_epoch: int
    validation_windows: int
    batch_size: int
    learning_rate: float
    dropout: float
    seed: int
    huber_delta: float = inf  # the loss is the squared error up to it, and linear beyond
    learning_rate_falls: bool = False  # to zero
    averaging: float = 0.0  # memory, by step, of the mean of the weights; 0: no mean

    def steps_per_epoch(self, windows: int) -> int:
        """Return the number of batches of an epoch, given so many training windows."""
        return -(-min(windows, self.windows_per_epoch) // self.batch_size)

    def learning_rate_at(self, step: int, windows: int) -> float:
        """Return the rate of a step, counted from 0 over all epochs of so many training windows.

        It is constant, or falls along a straight line to zero after the last step.

        >>> falling = FitOptions(2, 2, 20, 1, 10, 0.5, 0.0, 0, learning_rate_falls=True)
        >>> falling.learning_rate_at(3, windows=20)
        0.125
        """
        if not self.learning_rate_falls:
            return self.learning_rate
        total_steps = self.epochs * self.steps_per_epoch(windows)
        return self.learning_rate * (1.0 - step / total_steps)

    def average_weights(self, step: int, mean: Float32s, weights: Float32s) -> Float32s:
        """Return the mean of the weights (any shape) after a step, counted from 0.

        The newest weights wander about those that they would settle at. The mean is over the last
        ninth of all steps, and over no more than `averaging` remembers: polynomial-decay averaging
        (Shamir and Zhang, Stochastic gradient descent for non-smooth optimization, 2013), then
        exponential.
        """
        newest = max(1.0 - self.averaging, (_DECAY_POWER + 1) / (step + _DECAY_POWER + 1))
        return weights if newest == 1.0 else mean + np.float32(newest) * (weights - mean)


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """Weights of the best epoch, and the figures of every epoch.

    Skills are those of the online forecast, None where it has none. Without any skills the
    validation loss decides which epoch is the best.
    """

    weights: Float32s  # (weights,), flat in Keras' order
    training_losses: tuple[float, ...]  # means by epoch, on the network's scale
    validation_losses: tuple[float, ...]
    skills: tuple[float | None, ...] = ()

    @property
    def epochs(self) -> int:
        """The number of complete epochs."""
        return len(self.training_losses)

    @property
    def best_epoch(self) -> int:
        """The best epoch, counted from 0; 0 if there is none."""
        losses = (
            [inf if skill is None else -skill for skill in self.skills]
            if self.skills
            else self.validation_losses
        )
        return argmin_finite(losses) if losses else 0

    def with_epoch(
        self, losses: tuple[float, float], skill: tuple[float | None, ...], weights: Float32s
    ) -> "FitResult":
        """Return the result with one more epoch.

        Args:
            losses: its training and validation loss.
            skill: one figure if epochs are scored online, else none.
            weights: kept if the epoch is the best one.
        """
        training, validation = losses
        longer = FitResult(
            weights,
            (*self.training_losses, training),
            (*self.validation_losses, validation),
            (*self.skills, *skill),
        )
        if longer.best_epoch == self.epochs:
            return longer
        return replace(longer, weights=self.weights)

    def is_complete(self, options: FitOptions) -> bool:
        """Return whether no further epoch is due."""
        since_best = self.epochs - 1 - self.best_epoch
        return self.epochs >= options.epochs or since_best >= options.patience


def argmin_finite(losses: Sequence[float]) -> int:
    """Return the index of the lowest finite loss, the first of equals.

    >>> argmin_finite([float("nan"), 3.0, 2.0, 2.0])
    2
    """
    return min(range(len(losses)), key=lambda at: losses[at] if isfinite(losses[at]) else inf)
