"""A fit, epoch by epoch: which one is taken, when it ends, and how it goes on after an interruption."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from services.trainer.fitting.options import FitOptions, FitResult
from shared.core.arrays import Float32s
from shared.reporting.progress import EpochProgress, track_epochs

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class FitCheckpoint:
    """A fit after a complete epoch: what it has, and all that the next epoch needs."""

    fitted: FitResult
    arrays: Arrays


class TrainingBackend(Protocol):
    """Weights that learn by epochs."""

    @property
    def weights(self) -> Float32s:
        """The weights as they are now, flat in Keras' order."""

    @property
    def arrays(self) -> Arrays:
        """All that a later epoch depends on."""

    def go_on_from(self, arrays: Arrays) -> None:
        """Be as when these arrays were read."""

    def epoch(self, number: int, progress: EpochProgress) -> tuple[float, float] | None:
        """Learn for an epoch, counted from 0; return its training and validation loss, None if told to stop."""


class Checkpoint(Protocol):
    """Where a fit's progress outlives its process."""

    def of(self, training: str) -> "Checkpoint":
        """Return the place for the fit of this digest, which stands for all that its result depends on."""

    def load(self) -> FitCheckpoint | None:
        """Return what was saved of this very fit, or None."""

    def save(self, reached: FitCheckpoint) -> None:
        """Keep this, in place of what was saved before."""


@dataclass(frozen=True, slots=True)
class FitCallbacks:
    """Who judges a fit, and where its progress is kept.

    `judged` returns how good weights are, more being better, or None if that cannot be said: it then chooses the
    epoch, in place of the validation loss. `checkpoint` is where the fit goes on from, and what it keeps.
    """

    judged: Callable[[Float32s], float | None] | None = None
    checkpoint: Checkpoint | None = None


NO_CALLBACKS: Final = FitCallbacks()


def fit_by_epochs(
    learning: TrainingBackend, schedule: FitOptions, guidance: FitCallbacks
) -> FitResult:
    """Learn until the schedule ends it or the learning is told to stop; return the weights of the best epoch.

    An epoch that is not complete leaves nothing: a fit that goes on begins it anew, and comes to the same.
    """
    reached = guidance.checkpoint.load() if guidance.checkpoint else None
    fitted = FitResult(learning.weights.copy(), (), ())
    if reached is not None:
        fitted = reached.fitted
        learning.go_on_from(reached.arrays)
    with track_epochs(schedule.epochs) as progress:
        while not fitted.is_over(schedule):
            number = fitted.epochs
            losses = learning.epoch(number, progress)
            if losses is None:
                break
            skill = () if guidance.judged is None else (guidance.judged(learning.weights),)
            progress.end(number, *losses, *skill)
            fitted = fitted.with_epoch(losses, skill, learning.weights.copy())
            if guidance.checkpoint:
                guidance.checkpoint.save(FitCheckpoint(fitted, learning.arrays))
    return fitted
