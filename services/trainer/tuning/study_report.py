"""What a search prints: a line for each trial, and a table of the best."""

from typing import Final

from rich.table import Table

from services.trainer.tuning.trial import StudyRecord, TrialResult, Values, rank, to_environment

_MAX_ROWS: Final = 20


def trials_table(trials: tuple[TrialResult, ...]) -> Table:
    """Return the table of the best trials."""
    order = rank(trials)
    table = Table(
        title=f"{len(trials)} trials, {len(order)} with a score;"
        " skill is against zero change, on the validation span"
    )
    for name in ("trial", "skill", "interval of 95 %", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("settings")
    for at in order[:_MAX_ROWS]:
        trial = trials[at]
        table.add_row(
            str(at + 1),
            _percent(trial.skill),
            f"{_percent(trial.low)} to {_percent(trial.high)}",
            f"{trial.seconds:.0f}",
            describe_values(trial.values),
        )
    return table


def describe_newest(record: StudyRecord, budget_s: float, max_trials: int | None) -> str:
    """Return a line on the newest trial, the best one and the budget."""
    trial, order = record.trials[-1], rank(record.trials)
    best = (
        f"best {_percent(record.trials[order[0]].skill)} in trial {order[0] + 1}"
        if order
        else "none has a score"
    )
    number = f"trial {len(record.trials)}" + (f" of {max_trials}" if max_trials else "")
    result = trial.note if trial.skill is None else _percent(trial.skill)
    minutes = f"{record.used_s / 60:.1f} of {budget_s / 60:g} minutes"
    return f"{number}: {result} in {trial.seconds:.0f} s; {best}; {minutes} used"


def describe_values(values: Values) -> str:
    """Return a trial's settings as VARIABLE=value, shortened."""
    return " ".join(f"{name}={_short(value)}" for name, value in to_environment(values).items())


def _short(value: str) -> str:
    return f"{float(value):.3g}" if "." in value or "e-" in value else value


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:+.3f} %"
