"""The folder of a search: its record, a table of its trials, the settings of the best."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from services.trainer.tuning.trial import StudyRecord, TrialResult, rank, to_environment
from shared.adapters.atomic_write import write_atomically
from shared.core.errors import BadSetting

BEST: Final = "best.env"
_RECORD: Final = "search.json"
_TABLE: Final = "trials.csv"
_record: Final = TypeAdapter(StudyRecord)


def load(folder: Path) -> StudyRecord | None:
    """Return the record in a folder; None if there is none.

    Raises:
        BadSetting: the file is not the record of a search.
    """
    file = folder / _RECORD
    if not file.exists():
        return None
    try:
        return _record.validate_json(file.read_bytes())
    except ValidationError as error:
        raise BadSetting(
            f"{file} is not the record of a search ({error.errors()[0]['msg']}):"
            " name another --folder, or remove this one"
        ) from error


def save(folder: Path, record: StudyRecord) -> None:
    """Write the record, then the files that follow from it, each atomically.

    Raises:
        BadSetting: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / _RECORD, _record.dump_json(record, indent=1) + b"\n")
        write_atomically(folder / _TABLE, _to_csv(record.trials).encode())
        for at in rank(record.trials)[:1]:
            variables = to_environment(record.trials[at].values)
            lines = "".join(f"{name}={value}\n" for name, value in variables.items())
            write_atomically(folder / BEST, lines.encode())
    except OSError as error:
        raise BadSetting(
            f"cannot write to {folder} ({error.strerror}): name another --folder"
        ) from error


def _to_csv(trials: Iterable[TrialResult]) -> str:
    rows = [
        {"trial": at, **asdict(trial), **to_environment(trial.values)}
        for at, trial in enumerate(trials, 1)
    ]
    figures = [field.name for field in fields(TrialResult) if field.name != "values"]
    variables = sorted({name for row in rows for name in row} - {"trial", "values", *figures})
    text = io.StringIO()
    columns = ["trial", *figures, *variables]
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
