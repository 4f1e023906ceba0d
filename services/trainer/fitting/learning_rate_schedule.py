"""The learning rate of each step of a fit."""

from dataclasses import dataclass


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
