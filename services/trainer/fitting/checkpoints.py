"""Trainings that outlive their process: what they read and how far they are, in a folder of plain arrays and JSON."""

import hashlib
import io
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from math import isnan, nan
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from services.trainer.data.dataset import Dataset
from services.trainer.fitting.options import FitOptions, FitResult
from services.trainer.fitting.training_loop import Arrays, FitCheckpoint
from shared.adapters.atomic_write import write_atomically
from shared.core.arrays import Float32s, Float64s
from shared.core.errors import BadSetting
from shared.core.model.architecture import Architecture
from shared.log.archive import TimeSpan

log = logging.getLogger("ulstm")

_LEFT_OVER_S: Final = (
    7 * 86_400.0
)  # nobody goes on with a training that has stood still for so long
_PROGRESS: Final = "progress.json"
_SPAN: Final = "span.json"
_FITTED: Final = ("best_weights", "training_losses", "validation_losses", "skills")


class _Kept(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: Literal[1] = 1


class _KeptSpan(_Kept):
    begun_s: float  # Unix time
    from_ms: int
    through_ms: int


class _KeptProgress(_Kept):
    training: str  # digest of all that its result depends on
    epochs: int
    arrays_file: str
    arrays_sha256: str


class Checkpoints:
    """The folder of one set of settings: the span of candles that is being trained on, and the fit's progress.

    Files are replaced as a whole, so that a kill at any moment leaves the old or the new one. What cannot be written
    later on costs a warning, not the training; what is damaged is told, and the training starts anew.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Take where checkpoints are kept, and the settings that a training's result depends on."""
        name = hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()[:16]
        self._root, self._folder = folder, folder / name

    def prepare(self, now_s: float) -> None:
        """Make the folder, and remove what trainings of long ago have left there.

        Raises:
            BadSetting: the folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._folder / "probe", b"")
            (self._folder / "probe").unlink(missing_ok=True)
        except OSError as error:
            text = f"CHECKPOINTS is {self._root}, which cannot be written ({error.strerror}): name another folder"
            raise BadSetting(text) from error
        for other in self._root.iterdir():
            if (
                other != self._folder
                and _is_ours(other)
                and now_s - other.stat().st_mtime > _LEFT_OVER_S
            ):
                shutil.rmtree(other, ignore_errors=True)

    def span(self, now_s: float, most_age_s: float) -> TimeSpan | None:
        """Return the span that an interrupted training reads, unless it began longer ago than `most_age_s`."""
        path = self._folder / _SPAN
        if not path.exists():
            return None
        try:
            kept = _KeptSpan.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            _tell_damaged(path, error)
            return None
        return (
            TimeSpan(kept.from_ms, kept.through_ms) if now_s - kept.begun_s <= most_age_s else None
        )

    def begin(self, span: TimeSpan, now_s: float) -> None:
        """Remember what a training reads, until it is done."""
        _keep(
            self._folder / _SPAN,
            _KeptSpan(begun_s=now_s, from_ms=span.from_ms, through_ms=span.through_ms),
        )

    def progress(self, numeric_profile: str, sequences: Mapping[str, Float64s]) -> "CheckpointFile":
        """Return the place for the progress of a fit on these candles, on this machine."""
        basis = hashlib.sha256(
            repr((numeric_profile, version("keras"), version("tensorflow"))).encode()
        )
        for symbol, sequence in sequences.items():
            _add(basis, symbol, sequence)
        return CheckpointFile(self._folder, basis.hexdigest())

    def forget(self) -> None:
        """Remove all of these settings: the training is done, or is not to go on."""
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """The progress of one fit, in the folder of its settings."""

    folder: Path
    training: str

    def of(self, training: str) -> Self:
        """Return the place for the fit of this digest."""
        return replace(self, training=f"{self.training}-{training}")

    def load(self) -> FitCheckpoint | None:
        """Return how far this very fit is; None if it is to start anew."""
        path = self.folder / _PROGRESS
        if not path.exists():
            return None
        try:
            kept = _KeptProgress.model_validate_json(path.read_bytes())
            if kept.training != self.training:
                log.info(
                    "%s is of a training on other candles or by another program; this one starts anew",
                    path,
                )
                return None
            reached = _reached(self._arrays(kept))
        except (OSError, ValueError) as error:
            _tell_damaged(path, error)
            return None
        log.info("the training goes on after epoch %d, as %s says", kept.epochs, path)
        return reached

    def save(self, reached: FitCheckpoint) -> None:
        """Keep this, in place of what was saved before."""
        data, epochs = _packed(reached), reached.fitted.epochs
        name = f"epoch-{epochs}.npz"
        progress = _KeptProgress(
            training=self.training,
            epochs=epochs,
            arrays_file=name,
            arrays_sha256=hashlib.sha256(data).hexdigest(),
        )
        if _keep(self.folder / name, data) and _keep(self.folder / _PROGRESS, progress):
            for other in set(self.folder.glob("epoch-*.npz")) - {self.folder / name}:
                other.unlink(missing_ok=True)

    def _arrays(self, kept: _KeptProgress) -> dict[str, NDArray[Any]]:
        data = (self.folder / Path(kept.arrays_file).name).read_bytes()
        if hashlib.sha256(data).hexdigest() != kept.arrays_sha256:
            raise ValueError(f"{kept.arrays_file} is not as it was written")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def training_digest(
    architecture: Architecture, weights: Float32s, dataset: Dataset, schedule: FitOptions
) -> str:
    """Return what stands for all that a fit's result depends on, but who judges its epochs."""
    told = (
        np.__version__,
        architecture,
        asdict(schedule),
        dataset.window_length,
        dataset.label_scale,
    )
    found = hashlib.sha256(repr(told).encode())
    for name in ("rows", "labels", "training_ends", "validation_ends"):
        _add(found, name, getattr(dataset, name))
    _add(found, "weights", weights)
    return found.hexdigest()


def _add(digest: "hashlib._Hash", name: str, array: NDArray[Any]) -> None:
    digest.update(f"{name} {array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)


def _packed(reached: FitCheckpoint) -> bytes:
    fitted, file = reached.fitted, io.BytesIO()
    skills = [nan if one is None else one for one in fitted.skills]
    lists = {
        "training_losses": fitted.training_losses,
        "validation_losses": fitted.validation_losses,
        "skills": skills,
    }
    columns: Arrays = {name: np.array(values, dtype=np.float64) for name, values in lists.items()}
    np.savez(
        file, allow_pickle=False, **{**reached.arrays, **columns, "best_weights": fitted.weights}
    )
    return file.getvalue()


def _reached(arrays: dict[str, NDArray[Any]]) -> FitCheckpoint:
    best, training, validation, skills = (arrays.pop(name) for name in _FITTED)
    judged = tuple(None if isnan(one) else one for one in skills.tolist())
    return FitCheckpoint(
        FitResult(best, tuple(training.tolist()), tuple(validation.tolist()), judged), arrays
    )


def _keep(path: Path, value: bytes | _Kept) -> bool:
    data = value if isinstance(value, bytes) else value.model_dump_json(indent=1).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        log.warning(
            "%s cannot be written (%s): the training goes on, but could not be resumed",
            path,
            error.strerror,
        )
        return False
    return True


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and len(folder.name) == 16 and not folder.name.strip("0123456789abcdef")


def _tell_damaged(path: Path, error: Exception) -> None:
    log.warning("%s is damaged (%s): the training starts anew", path, error)
