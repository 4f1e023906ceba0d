"""Options of a fit."""

from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np

from shared.core.arrays import Float32s


@dataclass(frozen=True, slots=True)
class LearningRateSchedule:
    """A constant rate, or one that falls along a straight line to zero after the last step."""

    initial_rate: float
    total_steps: int | None = None  # None: the rate is constant

    def rate(self, step: int) -> float:
        """Return the rate of a step, counted from 0 over all epochs.

        >>> LearningRateSchedule(0.5, total_steps=4).rate(3)
        0.125
        """
        if self.total_steps is None:
            return self.initial_rate
        return self.initial_rate * (1.0 - step / self.total_steps)


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

    def learning_rate_schedule(self, windows: int) -> LearningRateSchedule:
        """Return the schedule of a fit on so many training windows."""
        total_steps = (
            self.epochs * self.steps_per_epoch(windows) if self.learning_rate_falls else None
        )
        return LearningRateSchedule(self.learning_rate, total_steps)

    def average_weights(self, step: int, mean: Float32s, weights: Float32s) -> Float32s:
        """Return the mean of the weights (any shape) after a step, counted from 0.

        The newest weights wander about those that they would settle at. The mean is over the last
        ninth of all steps, and over no more than `averaging` remembers: polynomial-decay averaging
        (Shamir and Zhang, Stochastic gradient descent for non-smooth optimization, 2013), then
        exponential.
        """
        newest = max(1.0 - self.averaging, (_DECAY_POWER + 1) / (step + _DECAY_POWER + 1))
        return weights if newest == 1.0 else mean + np.float32(newest) * (weights - mean)
