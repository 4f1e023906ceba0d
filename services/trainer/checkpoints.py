"""Trainings that outlive their process: what they read and how far they are, in a folder of plain arrays and JSON."""

import hashlib
import io
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from services.trainer.dataset import Dataset
from services.trainer.epochs import Arrays, Reached
from services.trainer.schedule import Fitted, Schedule
from shared.adapters.archive import Span
from shared.core.arrays import Float32s
from shared.core.card import Architecture
from shared.core.errors import BadSetting

log = logging.getLogger("ulstm")

_LEFT_OVER_S: Final = 7 * 86_400.0  # nobody goes on with a training that has stood still for so long
_BEST: Final = "best-weights"


class _Kept(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=True, ser_json_inf_nan="constants")


class _KeptSpan(_Kept):
    format: Literal[1] = 1
    from_ms: int
    through_ms: int


class _KeptProgress(_Kept):
    format: Literal[1] = 1
    training: str  # digest of all that its result depends on
    training_losses: list[float]
    validation_losses: list[float]
    skills: list[float | None]
    arrays_file: str
    arrays_sha256: str


class Damaged(ValueError):
    """Raised where a file is not as it was written."""


class Checkpoints:
    """The folder of one set of settings: the span of candles that is being trained on, and the fit's progress.

    Files are replaced as a whole, so that a kill at any moment leaves the old or the new one. What cannot be written
    later on costs a warning, not the training; what is damaged is told, and the training starts anew.
    """

    def __init__(self, folder: Path, settings_digest: str) -> None:
        """Take where checkpoints of all settings are kept, and a digest of these."""
        self._root, self._folder = folder, folder / settings_digest

    def prepare(self, now_s: float) -> None:
        """Make the folder, and remove what trainings of long ago have left there.

        Raises:
            BadSetting: the folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write(self._folder / "probe", b"")
            (self._folder / "probe").unlink()
        except OSError as error:
            text = f"CHECKPOINTS is {self._root}, which cannot be written ({error.strerror}): name another folder"
            raise BadSetting(text) from error
        for other in self._root.iterdir():
            if other != self._folder and _is_ours(other) and now_s - other.stat().st_mtime > _LEFT_OVER_S:
                shutil.rmtree(other, ignore_errors=True)

    def span(self, now_s: float, most_age_s: float) -> Span | None:
        """Return the span that an interrupted training reads, unless it began longer ago than `most_age_s`."""
        path = self._folder / "span.json"
        try:
            if now_s - path.stat().st_mtime > most_age_s:
                return None
            kept = _KeptSpan.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            _tell_damaged(path, error)
            return None
        return Span(kept.from_ms, kept.through_ms)

    def keep_span(self, span: Span) -> None:
        """Remember what a training reads, until it is done."""
        _keep(self._folder / "span.json", _KeptSpan(from_ms=span.from_ms, through_ms=span.through_ms))

    def forget(self) -> None:
        """Remove all: the training is done, or is not to go on."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def progress(self, basis: str) -> "FitProgress":
        """Return the place for the progress of a fit; `basis` stands for what its result depends on besides the fit."""
        return FitProgress(self._folder, basis)


@dataclass(frozen=True, slots=True)
class FitProgress:
    """The progress of one fit, in the folder of its settings."""

    folder: Path
    basis: str
    training: str = ""

    def of(self, training: str) -> Self:
        """Return the place for the fit of this digest."""
        return replace(self, training=f"{self.basis}-{training}")

    def load(self) -> Reached | None:
        """Return how far this very fit is; None if it is to start anew."""
        path = self.folder / "progress.json"
        try:
            kept = _KeptProgress.model_validate_json(path.read_bytes())
            if kept.training != self.training:
                log.info("%s is of a training on other candles or by another program; this one starts anew", path)
                return None
            arrays = self._arrays(kept)
        except FileNotFoundError as error:
            if Path(error.filename) != path:
                _tell_damaged(path, error)
            return None
        except (OSError, ValueError) as error:
            _tell_damaged(path, error)
            return None
        best = arrays.pop(_BEST)
        losses = tuple(kept.training_losses), tuple(kept.validation_losses)
        log.info("the training goes on after epoch %d, as %s says", len(kept.training_losses), path)
        return Reached(Fitted(best, *losses, tuple(kept.skills)), arrays)

    def save(self, reached: Reached) -> None:
        """Keep this, in place of what was saved before."""
        fitted = reached.fitted
        data = _packed({**reached.arrays, _BEST: fitted.weights})
        name = f"epoch-{fitted.epochs}.npz"
        progress = _KeptProgress(
            training=self.training,
            training_losses=list(fitted.training_losses),
            validation_losses=list(fitted.validation_losses),
            skills=list(fitted.skills),
            arrays_file=name,
            arrays_sha256=hashlib.sha256(data).hexdigest(),
        )
        if _keep(self.folder / name, data) and _keep(self.folder / "progress.json", progress):
            for other in set(self.folder.glob("epoch-*.npz")) - {self.folder / name}:
                other.unlink(missing_ok=True)

    def _arrays(self, kept: _KeptProgress) -> dict[str, NDArray[Any]]:
        data = (self.folder / Path(kept.arrays_file).name).read_bytes()
        if hashlib.sha256(data).hexdigest() != kept.arrays_sha256:
            raise Damaged(f"{kept.arrays_file} is not as it was written")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Return what stands for settings in a folder's name."""
    return hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()[:16]


def training_digest(architecture: Architecture, weights: Float32s, dataset: Dataset, schedule: Schedule) -> str:
    """Return what stands for all that a fit's result depends on, but who judges its epochs."""
    told = (np.__version__, architecture, asdict(schedule), dataset.window_length, dataset.label_scale)
    found = hashlib.sha256(repr(told).encode())
    for array in (weights, dataset.rows, dataset.labels, dataset.training_ends, dataset.validation_ends):
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _keep(path: Path, value: bytes | _Kept) -> bool:
    data = value if isinstance(value, bytes) else value.model_dump_json(indent=1).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, data)
    except OSError as error:
        log.warning("%s cannot be written (%s): the training goes on, but could not be resumed", path, error)
        return False
    return True


def _packed(arrays: Arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Replace a file as a whole; once this returns, it survives a loss of power."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and len(folder.name) == 16 and not folder.name.strip("0123456789abcdef")


def _tell_damaged(path: Path, error: Exception) -> None:
    log.warning("%s is damaged (%s): the training starts anew", path, error)
