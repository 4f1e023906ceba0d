"""The checkpoint of one fit: a JSON file that names a file of arrays."""

import hashlib
import io
import logging
from dataclasses import asdict, dataclass, replace
from math import isnan, nan
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from services.trainer.data.dataset import Dataset
from services.trainer.fitting.options import FitOptions
from services.trainer.fitting.result import FitResult
from services.trainer.fitting.training_loop import Arrays, FitCheckpoint
from shared.adapters.atomic_write import write_atomically
from shared.core.arrays import Float32s
from shared.core.model.architecture import Architecture

log = logging.getLogger(__name__)

_PROGRESS: Final = "progress.json"
_RESULT_ARRAYS: Final = ("best_weights", "training_losses", "validation_losses", "skills")


class StoredRecord(BaseModel):
    """A JSON file of a checkpoint."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: Literal[1] = 1


class _StoredProgress(StoredRecord):
    digest: str  # of all that the fit's result depends on
    epochs: int
    arrays_file: str
    arrays_sha256: str


@dataclass(frozen=True, slots=True)
class FitCheckpointFile:
    """The checkpoint of one fit: a JSON file that names a file of arrays."""

    folder: Path
    digest: str  # of all that the fit's result depends on

    def for_fit(self, digest: str) -> Self:
        """Return the store of the fit with this further digest."""
        return replace(self, digest=f"{self.digest}-{digest}")

    def load(self) -> FitCheckpoint | None:
        """Return the checkpoint of this very fit; None if it has to start again."""
        path = self.folder / _PROGRESS
        if not path.exists():
            return None
        try:
            stored = _StoredProgress.model_validate_json(path.read_bytes())
            if stored.digest != self.digest:
                log.info("%s has other candles or another program: training starts again", path)
                return None
            checkpoint = _unpack(self._read_arrays(stored))
        except (OSError, ValueError) as error:
            warn_damaged(path, error)
            return None
        log.info("the training resumes after epoch %d of %s", stored.epochs, path)
        return checkpoint

    def save(self, checkpoint: FitCheckpoint) -> None:
        """Replace the checkpoint.

        1. Write the arrays under a new name: a kill leaves the old checkpoint whole.
        2. Write the JSON that names them: the new checkpoint counts from here on.
        3. Delete the old arrays.
        """
        data, epochs = _pack(checkpoint), checkpoint.fitted.epochs
        arrays_file = self.folder / f"epoch-{epochs}.npz"
        progress = _StoredProgress(
            digest=self.digest,
            epochs=epochs,
            arrays_file=arrays_file.name,
            arrays_sha256=hashlib.sha256(data).hexdigest(),
        )
        if write_or_warn(arrays_file, data) and write_or_warn(self.folder / _PROGRESS, progress):
            for other in set(self.folder.glob("epoch-*.npz")) - {arrays_file}:
                other.unlink(missing_ok=True)

    def _read_arrays(self, stored: _StoredProgress) -> dict[str, NDArray[Any]]:
        data = (self.folder / Path(stored.arrays_file).name).read_bytes()
        if hashlib.sha256(data).hexdigest() != stored.arrays_sha256:
            raise ValueError(f"the SHA-256 of {stored.arrays_file} differs")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def fit_digest(
    architecture: Architecture, weights: Float32s, dataset: Dataset, options: FitOptions
) -> str:
    """Return a digest of all that a fit's result depends on, the scores of its epochs aside."""
    basis = (
        np.__version__,
        architecture,
        asdict(options),
        dataset.window_length,
        dataset.label_scale,
    )
    digest = hashlib.sha256(repr(basis).encode())
    for name in ("rows", "labels", "training_ends", "validation_ends"):
        update_digest(digest, name, getattr(dataset, name))
    update_digest(digest, "weights", weights)
    return digest.hexdigest()


def update_digest(digest: "hashlib._Hash", name: str, array: NDArray[Any]) -> None:
    """Add an array's name, type, shape and bytes to a digest."""
    digest.update(f"{name} {array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)


def _pack(checkpoint: FitCheckpoint) -> bytes:
    fitted, file = checkpoint.fitted, io.BytesIO()
    columns = {
        "training_losses": fitted.training_losses,
        "validation_losses": fitted.validation_losses,
        "skills": [nan if skill is None else skill for skill in fitted.skills],
    }
    arrays: Arrays = {
        **checkpoint.arrays,
        **{name: np.array(values, dtype=np.float64) for name, values in columns.items()},
        "best_weights": fitted.weights,
    }
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _unpack(arrays: dict[str, NDArray[Any]]) -> FitCheckpoint:
    best, training, validation, skills = (arrays.pop(name) for name in _RESULT_ARRAYS)
    scores = tuple(None if isnan(skill) else skill for skill in skills.tolist())
    fitted = FitResult(best, tuple(training.tolist()), tuple(validation.tolist()), scores)
    return FitCheckpoint(fitted, arrays)


def write_or_warn(path: Path, value: bytes | StoredRecord) -> bool:
    """Write a file atomically; log a warning and return False if that fails."""
    data = value if isinstance(value, bytes) else value.model_dump_json(indent=1).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        log.warning(
            "cannot write %s (%s): the training continues, but could not resume",
            path,
            error.strerror,
        )
        return False
    return True


def warn_damaged(path: Path, error: Exception) -> None:
    """Log that a file is damaged."""
    log.warning("%s is damaged (%s): the training starts again", path, error)
