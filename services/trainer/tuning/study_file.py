"""A search's folder: its record, a table of its trials, the settings of the best."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path

from services.trainer.tuning.trial import Record, Trial, environment_of, ranked
from shared.adapters.atomic_write import write_atomically
from shared.core.errors import BadSetting

_RECORD = "search.json"
_TABLE = "trials.csv"
BEST = "best.env"


def load(folder: Path) -> Record | None:
    """Return the record that a folder holds; None if it holds none.

    Raises:
        BadSetting: the file there is no record of a search.
    """
    file = folder / _RECORD
    if not file.exists():
        return None
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        return Record(**{**plain, "trials": tuple(Trial(**trial) for trial in plain["trials"])})
    except (ValueError, TypeError, KeyError) as error:
        message = (
            f"{file} is no record of a search ({error}): name another --folder, or remove this one"
        )
        raise BadSetting(message) from error


def save(folder: Path, record: Record) -> None:
    """Write the record, then what follows from it. Each file is there as a whole or not at all, whenever one kills us.

    Raises:
        BadSetting: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(
            folder / _RECORD,
            (json.dumps(asdict(record), indent=1, allow_nan=False) + "\n").encode(),
        )
        write_atomically(folder / _TABLE, _table(record.trials).encode())
        for at in ranked(record.trials)[:1]:
            lines = [
                f"{name}={value}\n"
                for name, value in environment_of(record.trials[at].values).items()
            ]
            write_atomically(folder / BEST, "".join(lines).encode())
    except OSError as error:
        message = f"cannot write to {folder} ({error.strerror}): name another --folder"
        raise BadSetting(message) from error


def _table(trials: Iterable[Trial]) -> str:
    rows = [
        {"trial": at, **asdict(trial), **environment_of(trial.values)}
        for at, trial in enumerate(trials, 1)
    ]
    figures = [field.name for field in fields(Trial) if field.name != "values"]
    variables = sorted({name for row in rows for name in row} - {"trial", "values", *figures})
    text = io.StringIO()
    writer = csv.DictWriter(
        text, ["trial", *figures, *variables], extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
