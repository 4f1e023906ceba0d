"""Values of a search: a trial's settings, its result, and the record of all trials."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import SecretStr, TypeAdapter, ValidationError

from services.trainer.settings import TrainerSettings
from shared.adapters.atomic_write import write_atomically
from shared.adapters.bounded_text import read_json_file
from shared.core.errors import BadInput, BadSetting

Value: TypeAlias = bool | int | float | str
Values: TypeAlias = Mapping[str, Value]
"""The values of a trial, by the names of the search space."""

LAYERS: Final = ("width_1", "width_2", "width_3")


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A trial's values and its skill on the validation span, a share of zero change's error."""

    values: Values
    skill: float | None = None  # None: it has no score
    low: float | None = None  # of the interval of 95 %
    high: float | None = None
    seconds: float = 0.0
    note: str = ""  # why it has no score


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A search so far: all that its next trials depend on, so that it can resume after a crash."""

    fixed: Mapping[str, Value]  # settings that all trials share
    from_ms: int  # the candles of the first start, whatever the archive has got since
    through_ms: int
    used_s: float = 0.0
    trials: tuple[TrialResult, ...] = ()


def to_environment(values: Values) -> dict[str, str]:
    """Return the trainer's settings that a trial's values stand for, by their variables.

    >>> to_environment({"layers": 2, "width_1": 32, "width_2": 16, "online_rate": 5e-05})
    {'WIDTHS': '32,16', 'ONLINE_RATE': '5e-05'}
    """
    widths = {"widths": ",".join(str(values[name]) for name in LAYERS if name in values)}
    others = {name: value for name, value in values.items() if name not in {"layers", *LAYERS}}
    return {name.upper(): _to_text(value) for name, value in {**widths, **others}.items()}


def with_environment(settings: TrainerSettings, environ: Mapping[str, str]) -> TrainerSettings:
    """Return the settings with some variables changed.

    Raises:
        BadSetting: a value is refused.
    """
    given = {
        name.upper(): _to_text(value)
        for name, value in settings.model_dump().items()
        if value is not None
    }
    return TrainerSettings.from_env({**given, **environ})


def estimate_cost(settings: TrainerSettings) -> int:
    """Estimate the multiplications of a window, to which a trial's time is proportional."""
    return settings.architecture.weight_count() * settings.window_length


def fixed_settings(settings: TrainerSettings, varied: Values) -> dict[str, Value]:
    """Return the settings that all trials of a search share; others cannot be compared with them.

    Args:
        settings: of the search.
        varied: a trial's values; the settings that they stand for are left out.
    """
    names = {name.lower() for name in to_environment(varied)}
    shared = {name: v for name, v in settings.checkpoint_key.items() if name not in names}
    return {**shared, "varied": " ".join(sorted(names))}


def describe_difference(fixed: Mapping[str, Value], other: Mapping[str, Value]) -> str:
    """Return the first setting that differs, with both values; empty if none does.

    >>> describe_difference({"epochs": 6}, {"epochs": 9})
    'EPOCHS is 6 there and 9 here'
    """
    for name in sorted({*fixed, *other}):
        if fixed.get(name) != other.get(name):
            return f"{name.upper()} is {fixed.get(name)} there and {other.get(name)} here"
    return ""


def rank(trials: Sequence[TrialResult]) -> list[int]:
    """Return the indices of the trials that have a score, the best first, of equals the earliest.

    >>> a, b, c = (TrialResult({}, skill, None, None, 1.0) for skill in (0.1, None, 0.2))
    >>> rank([a, b, c])
    [2, 0]
    """
    scored = [(-trial.skill, at) for at, trial in enumerate(trials) if trial.skill is not None]
    return [at for _, at in sorted(scored)]


def _to_text(value: Value | SecretStr) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


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
        return _record.validate_json(read_json_file(file))
    except (ValidationError, BadInput) as error:
        reason = str(error) if isinstance(error, BadInput) else error.errors()[0]["msg"]
        raise BadSetting(
            f"{file} is not the record of a search ({reason}):"
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
