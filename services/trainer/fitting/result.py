"""The result of a fit, epoch by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite

from services.trainer.fitting.options import FitOptions
from shared.core.arrays import Float32s


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
        return FitResult(
            self.weights, longer.training_losses, longer.validation_losses, longer.skills
        )

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
