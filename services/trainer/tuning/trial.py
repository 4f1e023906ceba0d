"""A search for a model's settings: what is varied, what a trial is, which is the best. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from services.trainer.settings import TrainerSettings

Value: TypeAlias = bool | int | float | str
Values: TypeAlias = Mapping[str, Value]
"""What is tried, by the names of `search_space.py`."""

LAYERS: Final = ("width_1", "width_2", "width_3")
WINDOW_LENGTHS: Final = (16, 24, 32, 48, 64, 96, 144, 288)


@dataclass(frozen=True, slots=True)
class Trial:
    """What was tried, and what came of it: shares of the squared error of zero change, on the validation span."""

    values: Values
    skill: float | None  # None: it has no score
    low: float | None  # of the interval of 95 %
    high: float | None
    seconds: float
    note: str = ""  # why it has no score


@dataclass(frozen=True, slots=True)
class Record:
    """A search as far as it is. All that it depends on is here: after a crash it goes on as if there had been none."""

    fixed: Mapping[str, Value]  # settings that all trials share
    from_ms: int  # the candles of the first start, whatever the archive has got since
    through_ms: int
    used_s: float = 0.0
    trials: tuple[Trial, ...] = ()


def environment_of(values: Values) -> dict[str, str]:
    """Return the trainer's settings that a trial's values stand for, by their variables.

    >>> environment_of({"layers": 2, "width_1": 32, "width_2": 16, "online_rate": 5e-05, "mirrored": True})
    {'WIDTHS': '32,16', 'ONLINE_RATE': '5e-05', 'MIRRORED': 'true'}
    """
    widths = {"widths": ",".join(str(values[name]) for name in LAYERS if name in values)}
    others = {name: value for name, value in values.items() if name not in {"layers", *LAYERS}}
    return {name.upper(): _text(value) for name, value in {**widths, **others}.items()}


def cost_of(settings: TrainerSettings) -> int:
    """Return the multiplications of a window, roughly: what a trial's time goes by."""
    return settings.architecture.weight_count() * settings.window_length


def with_environment(settings: TrainerSettings, environ: Mapping[str, str]) -> TrainerSettings:
    """Return the settings with some variables changed.

    Raises:
        BadSetting: a value is refused.
    """
    given = {name.upper(): _text(value) for name, value in settings.model_dump().items()}
    return TrainerSettings.from_env({**given, **environ})


def fixed_of(settings: TrainerSettings, varied: Values) -> dict[str, Value]:
    """Return what all trials of a search share: trials with other settings cannot be compared with its own.

    Args:
        settings: of the search.
        varied: a trial's values; none of what they stand for is shared.
    """
    names = {name.lower() for name in environment_of(varied)}
    shared = {name: value for name, value in settings.for_weights.items() if name not in names}
    return {**shared, "varied": " ".join(sorted(names))}


def difference(fixed: Mapping[str, Value], other: Mapping[str, Value]) -> str:
    """Return the first setting that differs, with both values; nothing if none does.

    >>> difference({"epochs": 6}, {"epochs": 9})
    'EPOCHS is 6 there and 9 here'
    """
    for name in sorted({*fixed, *other}):
        if fixed.get(name) != other.get(name):
            return f"{name.upper()} is {fixed.get(name)} there and {other.get(name)} here"
    return ""


def ranked(trials: Sequence[Trial]) -> list[int]:
    """Return the places of the trials that have a score, the best first, of equals the earliest.

    >>> a, b, c = (Trial({}, skill, None, None, 1.0) for skill in (0.1, None, 0.2))
    >>> ranked([a, b, c])
    [2, 0]
    """
    scored = [(-trial.skill, at) for at, trial in enumerate(trials) if trial.skill is not None]
    return [at for _, at in sorted(scored)]


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
