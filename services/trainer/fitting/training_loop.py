"""The epochs of a fit: which one is the best, when they end, how an interrupted fit resumes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from services.trainer.fitting.checkpoints import Arrays, FitCheckpoint, FitCheckpointFile
from services.trainer.fitting.options import FitOptions, FitResult
from shared.core.arrays import Float32s
from shared.reporting.progress import EpochProgress, track_epochs


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


@dataclass(frozen=True, slots=True)
class FitCallbacks:
    """How a fit's epochs are scored, and where its checkpoint is kept."""

    # Returns how good weights (weights,) are, more being better; None if they have no score.
    # It then chooses the epoch, in place of the validation loss.
    score_epoch: Callable[[Float32s], float | None] | None = None
    checkpoints: FitCheckpointFile | None = None
    # Called with the number of each epoch that begins, counted from 1.
    on_epoch: Callable[[int], None] = lambda _: None


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
            callbacks.on_epoch(fitted.epochs + 1)
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
