"""A search: what it is told and where it stands, one trial after the other, within a budget of time."""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from time import monotonic
from typing import Final

from rich.console import Console
from rich.table import Table

from services.trainer.data.dataset import feature_function
from services.trainer.data.preparation import (
    NotEnoughCandles,
    PreparedData,
    build_card,
    fit_options,
    prepare,
)
from services.trainer.fitting.fit import fit
from services.trainer.fitting.validation_scorer import ValidationScorer, build_validation_scorer
from services.trainer.settings import TrainerSettings
from services.trainer.tuning.search_space import propose, space
from services.trainer.tuning.study_file import BEST, load, save
from services.trainer.tuning.trial import (
    WINDOW_LENGTHS,
    Record,
    Trial,
    Values,
    cost_of,
    difference,
    environment_of,
    fixed_of,
    ranked,
    with_environment,
)
from shared.core.arrays import Float64s
from shared.core.errors import BadSetting, UlstmError
from shared.core.model.card import Bundle
from shared.core.model.numeric_profile import self_test
from shared.core.online.context import FoldContext
from shared.core.topics import interval_ms
from shared.log.archive import TimeSpan
from shared.reporting.progress import track_count

log = logging.getLogger("ulstm")

_SHOWN: Final = 20  # trials in the table on the screen
_DOUBT: Final = (
    3.0  # times longer than allowed is what a trial must be expected to take for it not to begin
)

Sequences = Mapping[str, Float64s]


@dataclass(frozen=True, slots=True)
class StudyBudget:
    """How long a search may take, over all its starts."""

    seconds: float
    trials: int | None = None
    trial_seconds: float = inf  # a trial that takes longer has no score

    def __post_init__(self) -> None:
        """Refuse what leaves no time."""
        told = {
            "minutes": self.seconds / 60,
            "trials": self.trials,
            "trial-minutes": self.trial_seconds / 60,
        }
        for name, value in told.items():
            if value is not None and not value > 0:
                raise BadSetting(f"--{name} is {value:g}: a search needs more than 0")


class NothingFound(UlstmError):
    """Raised when no trial has a score."""


class _Interrupted(UlstmError):
    """Raised when a trial, or the search, is to end now."""


class _Until(threading.Event):
    """Set once another event is, or at a time."""

    def __init__(self, stop: threading.Event, end_s: float, clock: Callable[[], float]) -> None:
        super().__init__()
        self._stop, self._end_s, self._clock = stop, end_s, clock

    def is_set(self) -> bool:
        return self._stop.is_set() or self._clock() >= self._end_s

    def check(self, _: int = 0) -> None:
        if self.is_set():
            raise _Interrupted


class TrialRunner:
    """Trains what is proposed, and scores it on the validation span as it will live."""

    def __init__(self, settings: TrainerSettings, sequences: Sequences, until: _Until) -> None:
        """Take the settings that all trials share, and the candles.

        Raises:
            NotEnough: there are too few candles to train on, or to score.
            Incompatible: this machine's kernel does not compute the golden bits.
            _Interrupted: it was broken off.
        """
        self._settings, self._sequences = settings, sequences
        self._step_ms = interval_ms(settings.interval)
        self._computed = feature_function(self._step_ms)
        self._features: dict[tuple[str, str], tuple[Float64s, Float64s]] = {}
        self._online = self._over_the_same_candles(until)

    def score(self, values: Values, until: _Until) -> Trial:
        """Return the trial, without its time.

        Raises:
            _Interrupted: it was broken off.
        """
        settings = with_environment(self._settings, environment_of(values))
        prepared = self._prepared(settings, until)
        fitted = fit(settings.architecture, prepared.dataset, fit_options(settings), until)
        until.check()
        bundle = Bundle(
            "candidate", build_card(settings, prepared, fitted, None), fitted.weights, ""
        )
        with track_count("scoring", self._online.events) as progress:

            def advance(count: int) -> None:
                until.check()
                progress(count)

            found = self._online.skill(bundle, advance)
        if found is None:
            return Trial(values, None, None, None, 0.0, "its weights predict nothing")
        return Trial(values, found.value, found.low, found.high, 0.0)

    def _prepared(self, settings: TrainerSettings, until: _Until) -> PreparedData:
        def over(name: str, symbol: str, sequence: Float64s) -> tuple[Float64s, Float64s]:
            until.check()
            if (name, symbol) not in self._features:
                self._features[name, symbol] = self._computed(name, symbol, sequence)
            return self._features[name, symbol]

        return prepare(settings, self._sequences, over)

    def _over_the_same_candles(self, until: _Until) -> ValidationScorer:
        longest = with_environment(self._settings, {"WINDOW_LENGTH": str(max(WINDOW_LENGTHS))})
        context = FoldContext(longest.interval, self._step_ms, self_test())
        online = build_validation_scorer(
            longest, self._prepared(longest, until), context, os.cpu_count() or 1
        )
        if not online.events:
            message = f"no symbol has the {longest.window_length} candles before the validation span that are needed"
            raise NotEnoughCandles(message)
        return online


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
        """Take the settings that all trials share; `stop` ends it early, and it can go on later.

        Raises:
            BadSetting: the folder has a search with other settings.
        """
        self._settings, self._folder, self._stop, self._clock = settings, folder, stop, clock
        self._space = space(settings.target, with_dropout=with_dropout)
        self._fixed = fixed_of(settings, self._space.values)
        self._console = console or Console(width=120)
        self._scorer: TrialRunner | None = None
        self._record = load(folder)
        differs = difference(self._record.fixed, self._fixed) if self._record else ""
        if differs:
            message = (
                f"{folder} has a search whose {differs}: name another --folder, or remove this one"
            )
            raise BadSetting(message)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """What was tried until now."""
        return () if self._record is None else self._record.trials

    def run(
        self,
        budget: StudyBudget,
        span: Callable[[], TimeSpan],
        read: Callable[[TimeSpan], Sequences],
    ) -> dict[str, str]:
        """Try until the budget is used up, all was tried, or one says stop; return the best one's settings.

        The candles are those of the first start.

        Args:
            budget: of all starts together.
            span: what the archive has to offer.
            read: reads a span of it.

        Raises:
            NothingFound: no trial has a score yet.
            NotEnough: the archive has too few candles.
        """
        record = self._record or self._begun(span())
        begun_s = self._clock() - record.used_s
        try:
            while not self._is_over(record, budget):
                record = self._tried(record, budget, begun_s, read)
                save(self._folder, record)
        except _Interrupted:
            record = replace(record, used_s=self._clock() - begun_s)
            save(self._folder, record)
        self._record = record
        return self._told(record)

    def _begun(self, span: TimeSpan) -> Record:
        record = Record(self._fixed, span.from_ms, span.through_ms)
        save(self._folder, record)
        return record

    def _is_over(self, record: Record, budget: StudyBudget) -> bool:
        has_all = budget.trials is not None and len(record.trials) >= budget.trials
        return self._stop.is_set() or has_all or record.used_s >= budget.seconds

    def _tried(
        self,
        record: Record,
        budget: StudyBudget,
        begun_s: float,
        read: Callable[[TimeSpan], Sequences],
    ) -> Record:
        """Return the record with one more trial.

        Raises:
            _Interrupted: the budget is used up, all was tried, or one says stop.
        """
        end = _Until(self._stop, begun_s + budget.seconds, self._clock)
        if self._scorer is None:
            self._scorer = TrialRunner(
                self._settings, read(TimeSpan(record.from_ms, record.through_ms)), end
            )
        values = propose(self._space, record.trials, self._settings.seed)
        if values is None:
            self._console.print("all that was drawn had been tried before: the search is over")
            raise _Interrupted
        started_s = self._clock()
        log.info("trial %d: %s", len(record.trials) + 1, _readable(values))
        trial = self._scored(self._scorer, values, record, budget, end)
        now_s = self._clock()
        trials = (*record.trials, replace(trial, seconds=round(now_s - started_s, 3)))
        record = replace(record, used_s=now_s - begun_s, trials=trials)
        self._console.print(_line(record, budget), highlight=False, soft_wrap=True)
        return record

    def _scored(
        self, scorer: TrialRunner, values: Values, record: Record, budget: StudyBudget, end: _Until
    ) -> Trial:
        """Return the trial; without a score if it takes too long, or would: the first one tells the machine's speed."""
        if not record.trials:
            return scorer.score(values, end)
        limit_s, first = budget.trial_seconds, record.trials[0]
        expected_s = first.seconds * self._cost(values) / self._cost(first.values)
        if expected_s > _DOUBT * limit_s:
            return Trial(values, None, None, None, 0.0, f"would take about {expected_s:.0f} s")
        try:
            return scorer.score(values, _Until(end, self._clock() + limit_s, self._clock))
        except _Interrupted:
            end.check()
            return Trial(values, None, None, None, 0.0, f"longer than {limit_s:.0f} s")

    def _cost(self, values: Values) -> int:
        return cost_of(with_environment(self._settings, environment_of(values)))

    def _told(self, record: Record) -> dict[str, str]:
        self._console.print(trials_table(record.trials))
        best = ranked(record.trials)[:1]
        if not best:
            message = (
                f"no trial has a score after {record.used_s:.0f} s: the same command goes on;"
                " give it more time, or fewer --epochs or --windows"
            )
            raise NothingFound(message)
        file = self._folder / BEST
        self._console.print(
            f"the best, trial {best[0] + 1}, is in {file}; to train it:", soft_wrap=True
        )
        self._console.print(f"  env $(cat {file}) ulstm train", soft_wrap=True)
        return environment_of(record.trials[best[0]].values)


def trials_table(trials: tuple[Trial, ...]) -> Table:
    """Return the table of the best trials."""
    order = ranked(trials)
    table = Table(
        title=f"{len(trials)} trials, {len(order)} with a score; skill is against zero change, on the validation span"
    )
    for name in ("trial", "skill", "interval of 95 %", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("settings")
    for at in order[:_SHOWN]:
        trial = trials[at]
        table.add_row(
            str(at + 1), _percent(trial.skill), f"{_percent(trial.low)} to {_percent(trial.high)}",
            f"{trial.seconds:.0f}", _readable(trial.values),
        )  # fmt: skip
    return table


def _line(record: Record, budget: StudyBudget) -> str:
    trial, order = record.trials[-1], ranked(record.trials)
    best = (
        f"best {_percent(record.trials[order[0]].skill)} in trial {order[0] + 1}"
        if order
        else "none has a score"
    )
    number = f"trial {len(record.trials)}" + (f" of {budget.trials}" if budget.trials else "")
    came = trial.note if trial.skill is None else _percent(trial.skill)
    minutes = f"{record.used_s / 60:.1f} of {budget.seconds / 60:g} minutes"
    return f"{number}: {came} in {trial.seconds:.0f} s; {best}; {minutes} used"


def _readable(values: Values) -> str:
    return " ".join(f"{name}={_short(value)}" for name, value in environment_of(values).items())


def _short(value: str) -> str:
    return f"{float(value):.3g}" if "." in value or "e-" in value else value


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:+.3f} %"
