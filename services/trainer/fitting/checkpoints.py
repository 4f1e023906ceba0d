"""The checkpoints of a training, in a folder of plain arrays and JSON, so that it can resume."""

import hashlib
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from services.trainer.fitting.checkpoint_file import (
    FitCheckpointFile,
    StoredRecord,
    update_digest,
    warn_damaged,
    write_or_warn,
)
from shared.adapters.atomic_write import write_atomically
from shared.core.arrays import Float64s
from shared.core.errors import BadSetting
from shared.log.archive import TimeSpan

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
            stored = _StoredSpan.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
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
