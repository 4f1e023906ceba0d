"""A search: one trial after the other, within a time budget, resumable at any time."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from time import monotonic
from typing import Final, Protocol

from rich.console import Console
from rich.table import Table

from services.trainer.data.archive_source import ArchiveSource
from services.trainer.settings import SearchSettings, TrainerSettings
from services.trainer.stopping import Deadline
from services.trainer.tuning.proposals import default_values, propose, search_space
from services.trainer.tuning.study_record import (
    BEST,
    StudyRecord,
    TrialResult,
    Values,
    describe_difference,
    fixed_settings,
    load,
    rank,
    save,
    to_environment,
    with_environment,
)
from services.trainer.tuning.trial_runner import Sequences, TrialRunner
from shared.adapters.retry import StopRequested
from shared.core.errors import BadSetting, UlstmError
from shared.core.features.registry import FEATURE_SETS
from shared.log.archive import TimeSpan

log = logging.getLogger(__name__)

_MAY_NEED_MARKET: Final = any(each.needs_market for each in FEATURE_SETS.values())


@dataclass(frozen=True, slots=True)
class StudyBudget:
    """How long a search may take, over all its starts."""

    seconds: float
    trials: int | None = None
    trial_seconds: float = inf  # a trial that takes longer has no score


class NothingFound(UlstmError):
    """Raised when no trial has a score."""


class SpanReader(Protocol):
    """Where a search reads its candles."""

    def available_span(self) -> TimeSpan:
        """Return the span that a new search reads."""

    def read(self, span: TimeSpan) -> Sequences:
        """Read the candles of a span."""


def run_study(
    settings: TrainerSettings, search: SearchSettings, stop: threading.Event
) -> dict[str, str]:
    """Search until the budget is used up or a stop is requested; return the best settings.

    Raises:
        BadSetting: the folder has a search with other settings, or cannot be written.
        NothingFound: no trial has a score yet.
        NotEnoughCandles: the archive has too few candles.
        Unavailable: Kafka does not answer.
    """
    minutes = search.budget_minutes
    trial_minutes = search.trial_minutes or minutes / 10
    shared = with_environment(settings, search.trial_environment)
    study = Study(shared, search.folder, stop, with_dropout=search.dropout)
    budget = StudyBudget(60 * minutes, search.trials, 60 * trial_minutes)
    return study.run(budget, ArchiveSource(shared, stop, with_market=_MAY_NEED_MARKET))


class Study:
    """One search, in a folder of its own."""

    def __init__(
        self,
        settings: TrainerSettings,
        folder: Path,
        stop: threading.Event,
        *,
        with_dropout: bool = False,
        clock: Callable[[], float] = monotonic,
        console: Console | None = None,
    ) -> None:
        """Take the settings that all trials share; `stop` interrupts the search.

        Raises:
            BadSetting: the folder has a search with other settings.
        """
        self._settings, self._folder, self._stop, self._clock = settings, folder, stop, clock
        self._space = search_space(with_dropout=with_dropout)
        self._fixed = fixed_settings(settings, default_values(self._space))
        self._console = console or Console(width=120)
        self._runner: TrialRunner | None = None
        self._record = load(folder)
        differs = describe_difference(self._record.fixed, self._fixed) if self._record else ""
        if differs:
            raise BadSetting(
                f"{folder} has a search whose {differs}: name another --folder, or remove this one"
            )

    @property
    def trials(self) -> tuple[TrialResult, ...]:
        """The finished trials."""
        return () if self._record is None else self._record.trials

    def run(self, budget: StudyBudget, source: SpanReader) -> dict[str, str]:
        """Run trials until the budget or the space is used up, or a stop is requested.

        Args:
            budget: of all starts together.
            source: of the candles; a search that resumes reads the span of its first start.

        Returns:
            The best trial's settings, by their variables.

        Raises:
            NothingFound: no trial has a score yet.
            NotEnoughCandles: the archive has too few candles.
        """
        record = self._record or self._start(source.available_span())
        began_s = self._clock() - record.used_s
        try:
            while not self._is_over(record, budget):
                record = self._run_next(record, budget, began_s, source)
                save(self._folder, record)
        except StopRequested:
            # The interrupted trial is dropped; it begins again on resume.
            record = replace(record, used_s=self._clock() - began_s)
            save(self._folder, record)
        self._record = record
        return self._report(record)

    def _start(self, span: TimeSpan) -> StudyRecord:
        record = StudyRecord(self._fixed, span.from_ms, span.through_ms)
        save(self._folder, record)
        return record

    def _is_over(self, record: StudyRecord, budget: StudyBudget) -> bool:
        has_all = budget.trials is not None and len(record.trials) >= budget.trials
        return self._stop.is_set() or has_all or record.used_s >= budget.seconds

    def _run_next(
        self, record: StudyRecord, budget: StudyBudget, began_s: float, source: SpanReader
    ) -> StudyRecord:
        """Return the record with one more trial.

        Raises:
            StopRequested: the budget or the space is used up, or a stop was requested.
        """
        deadline = Deadline(self._stop, began_s + budget.seconds, self._clock)
        if self._runner is None:
            sequences = source.read(TimeSpan(record.from_ms, record.through_ms))
            self._runner = TrialRunner(self._settings, sequences, deadline, self._clock)
        values = propose(self._space, record.trials, self._settings.seed)
        if values is None:
            self._console.print("every setting of the search space was tried: the search is over")
            raise StopRequested("the search space is used up")
        started_s = self._clock()
        log.info("trial %d: %s", len(record.trials) + 1, describe_values(values))
        first = record.trials[0] if record.trials else None
        trial = self._runner.run_within(budget.trial_seconds, values, first, deadline)
        now_s = self._clock()
        trials = (*record.trials, replace(trial, seconds=round(now_s - started_s, 3)))
        record = replace(record, used_s=now_s - began_s, trials=trials)
        line = describe_newest(record, budget.seconds, budget.trials)
        self._console.print(line, highlight=False, soft_wrap=True)
        return record

    def _report(self, record: StudyRecord) -> dict[str, str]:
        self._console.print(trials_table(record.trials))
        best = rank(record.trials)[:1]
        if not best:
            raise NothingFound(
                f"no trial has a score after {record.used_s:.0f} s: run the same command again"
                " with more time, or with fewer --epochs or --windows"
            )
        file = self._folder / BEST
        self._console.print(
            f"the best, trial {best[0] + 1}, is in {file}; to train it:", soft_wrap=True
        )
        self._console.print(f"  env $(cat {file}) ulstm train", soft_wrap=True)
        return to_environment(record.trials[best[0]].values)


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
