"""The epochs of a fit: which one is the best, when they end, how an interrupted fit resumes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Final, Protocol, TypeAlias

from numpy.typing import NDArray

from services.trainer.fitting.options import FitOptions
from shared.core.arrays import Float32s
from shared.reporting.progress import EpochProgress, track_epochs


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


Arrays: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class FitCheckpoint:
    """A fit after a complete epoch."""

    fitted: FitResult
    arrays: Arrays  # all that a later epoch depends on


class TrainingBackend(Protocol):
    """Trains weights by epochs."""

    @property
    def weights(self) -> Float32s:
        """The weights as they are now (weights,), flat in Keras' order."""

    @property
    def arrays(self) -> Arrays:
        """All that a later epoch depends on."""

    def restore(self, arrays: Arrays) -> None:
        """Take back the state that `arrays` gave."""

    def run_epoch(self, number: int, progress: EpochProgress) -> tuple[float, float] | None:
        """Run an epoch, counted from 0.

        Returns:
            Training and validation loss; None if a stop was requested before its end.
        """


class CheckpointStore(Protocol):
    """Keeps the checkpoint of a fit beyond its process."""

    def for_fit(self, digest: str) -> "CheckpointStore":
        """Return the store of the fit with this digest of all that its result depends on."""

    def load(self) -> FitCheckpoint | None:
        """Return the checkpoint of this very fit, if there is one."""

    def save(self, checkpoint: FitCheckpoint) -> None:
        """Replace the checkpoint."""


@dataclass(frozen=True, slots=True)
class FitCallbacks:
    """How a fit's epochs are scored, and where its checkpoint is kept."""

    # Returns how good weights (weights,) are, more being better; None if they have no score.
    # It then chooses the epoch, in place of the validation loss.
    score_epoch: Callable[[Float32s], float | None] | None = None
    checkpoints: CheckpointStore | None = None


NO_CALLBACKS: Final = FitCallbacks()


def fit_by_epochs(
    backend: TrainingBackend, options: FitOptions, callbacks: FitCallbacks
) -> FitResult:
    """Run epochs until the options or a stop signal end them; return the best epoch's weights.

    An incomplete epoch leaves nothing: the fit that resumes runs it again, to the same result.
    """
    # 1. Resume after the last complete epoch, if there is a checkpoint.
    fitted = FitResult(backend.weights.copy(), (), ())
    checkpoint = callbacks.checkpoints.load() if callbacks.checkpoints else None
    if checkpoint is not None:
        fitted = checkpoint.fitted
        backend.restore(checkpoint.arrays)
    with track_epochs(options.epochs) as progress:
        while not fitted.is_complete(options):
            # 2. Train for an epoch; a stop signal drops it.
            losses = backend.run_epoch(fitted.epochs, progress)
            if losses is None:
                break
            # 3. Score it: the score decides whether its weights are kept.
            score_epoch = callbacks.score_epoch
            skill = () if score_epoch is None else (score_epoch(backend.weights),)
            progress.end(fitted.epochs, *losses, *skill)
            fitted = fitted.with_epoch(losses, skill, backend.weights.copy())
            # 4. Save the score with the arrays, so that it is not computed again on resume.
            if callbacks.checkpoints:
                callbacks.checkpoints.save(FitCheckpoint(fitted, backend.arrays))
    return fitted
