"""The checkpoints of a training, in a folder of plain arrays and JSON, so that it can resume."""

import hashlib
import io
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from math import isnan, nan
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from services.trainer.data.dataset import Dataset
from services.trainer.fitting.options import FitOptions, FitResult
from shared.adapters.atomic_write import write_atomically
from shared.adapters.bounded_text import read_json_file
from shared.adapters.zip_member import ZIP_ERRORS
from shared.core.arrays import Float32s, Float64s
from shared.core.errors import BadInput, BadSetting
from shared.core.model.architecture import Architecture
from shared.log.archive import TimeSpan

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

log = logging.getLogger(__name__)

_PROGRESS: Final = "progress.json"
_RESULT_ARRAYS: Final = ("best_weights", "training_losses", "validation_losses", "skills")


@dataclass(frozen=True, slots=True, eq=False)
class FitCheckpoint:
    """A fit after a complete epoch."""

    fitted: FitResult
    arrays: Arrays  # all that a later epoch depends on


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
            stored = _StoredProgress.model_validate_json(read_json_file(path))
            if stored.digest != self.digest:
                log.info("%s has other candles or another program: training starts again", path)
                return None
            checkpoint = _unpack(self._read_arrays(stored))
        except (BadInput, KeyError, *ZIP_ERRORS) as error:  # of JSON too, a ValueError
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
    if dataset.mirror is not None:
        update_digest(digest, "mirror", dataset.mirror)
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


_MAX_AGE_S: Final = 7 * 86_400.0  # of an abandoned training's folder
_SPAN: Final = "span.json"


class _StoredSpan(StoredRecord):
    started_s: float  # Unix time
    from_ms: int
    through_ms: int


class TrainingCheckpoints:
    """The folder of one set of settings: the span of candles that is read, and the fit's progress.

    Files are replaced atomically, so that a kill at any moment leaves the old or the new one. A
    failed write costs a warning, not the training; a damaged file is logged, and the training
    starts again.
    """

    def __init__(self, root: Path, settings: Mapping[str, Any]) -> None:
        """Take the folder of all checkpoints, and the settings that the weights depend on."""
        name = hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()[:16]
        self._root, self._folder = root, root / name

    def prepare(self, now_s: float) -> None:
        """Create the folder, and delete those of trainings that were abandoned.

        Raises:
            BadSetting: the folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._folder / "probe", b"")
            (self._folder / "probe").unlink(missing_ok=True)
        except OSError as error:
            raise BadSetting(
                f"CHECKPOINTS is {self._root}, which cannot be written ({error.strerror}):"
                " name another folder"
            ) from error
        for other in self._root.iterdir():
            is_other = other != self._folder and _is_checkpoint_folder(other)
            if is_other and now_s - other.stat().st_mtime > _MAX_AGE_S:
                shutil.rmtree(other, ignore_errors=True)

    def load_span(self, now_s: float, max_age_s: float) -> TimeSpan | None:
        """Return the span of an interrupted training; None if it started before `max_age_s`."""
        path = self._folder / _SPAN
        if not path.exists():
            return None
        try:
            stored = _StoredSpan.model_validate_json(read_json_file(path))
        except (OSError, ValidationError, BadInput) as error:
            warn_damaged(path, error)
            return None
        if now_s - stored.started_s > max_age_s:
            return None
        return TimeSpan(stored.from_ms, stored.through_ms)

    def save_span(self, span: TimeSpan, now_s: float) -> None:
        """Save the span that a training reads, until `delete`."""
        stored = _StoredSpan(started_s=now_s, from_ms=span.from_ms, through_ms=span.through_ms)
        write_or_warn(self._folder / _SPAN, stored)

    def for_candles(
        self, numeric_profile: str, sequences: Mapping[str, Float64s]
    ) -> FitCheckpointFile:
        """Return the store of a fit's checkpoint on these candles and this machine."""
        basis = (numeric_profile, version("keras"), version("tensorflow"))
        digest = hashlib.sha256(repr(basis).encode())
        for symbol, sequence in sequences.items():
            update_digest(digest, symbol, sequence)
        return FitCheckpointFile(self._folder, digest.hexdigest())

    def delete(self) -> None:
        """Delete the checkpoints of these settings: the training is done."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _is_checkpoint_folder(folder: Path) -> bool:
    return folder.is_dir() and len(folder.name) == 16 and not folder.name.strip("0123456789abcdef")
