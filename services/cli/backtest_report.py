"""The report of a backtest: the model's forecasts beside others of the same candles."""

from collections.abc import Generator, Mapping
from dataclasses import replace
from functools import partial
from multiprocessing import cpu_count
from pathlib import Path
from typing import Final, Protocol, TypeVar

import numpy as np
from rich.progress import Progress

from services.cli.backtest_worker import Comparing, Scoring, candles_from
from services.cli.worker_pool import run_in_workers
from shared.core.arrays import Float64s
from shared.core.errors import BadSetting
from shared.core.evaluation.backtest import without_online_learning
from shared.core.evaluation.comparison import (
    CANDIDATE,
    FROZEN,
    LINEAR,
    RAW,
    Comparison,
    SeriesBySymbol,
    shared_times,
)
from shared.core.evaluation.online_ridge import HALF_LIFE
from shared.core.model.card import Bundle
from shared.core.sequence import OPEN_TIME
from shared.core.timestamps import format_timestamp
from shared.reporting.html_report import ModelReport, seen

PAST: Final = 2 * HALF_LIFE  # candles before the promotion that a report looks at, at most

T_co = TypeVar("T_co", covariant=True)


class Work(Protocol[T_co]):
    """What is done with each symbol's candles from a moment on."""

    @property
    def from_ms(self) -> int:
        """The first candle's open time."""

    def of(self, symbol: str, sequence: Float64s) -> T_co:
        """Do it for one symbol's candles (n, columns)."""


def each(
    work: Work[T_co], sequences: Mapping[str, Float64s], text: str, progress: Progress
) -> Generator[T_co, None, None]:
    """Symbols are independent, so each core takes the next one, those with the most candles first."""
    candles = {
        symbol: candles_from(sequence, work.from_ms) for symbol, sequence in sequences.items()
    }
    task = progress.add_task(text, total=sum(candles.values()))
    longest_first = sorted(sequences, key=candles.__getitem__, reverse=True)
    calls = [partial(work.of, symbol, sequences[symbol]) for symbol in longest_first]
    return run_in_workers(cpu_count(), calls, lambda done: progress.update(task, completed=done))


def check_report(report: Path | None, against: str) -> None:
    """Refuse what would only fail once the work is done.

    Raises:
        BadSetting: the page cannot be written there, or `--against` has no page to be told on.
    """
    if report is None and against:
        message = f"--against is {against}, which only a report tells: add --report FILE.html"
        raise BadSetting(message)
    if report is not None and (
        report.suffix != ".html" or not report.parent.is_dir() or report.is_dir()
    ):
        message = f"--report is {report}; it must be a .html file in a folder that is there"
        raise BadSetting(message)


def report_of(
    scoring: Scoring,
    tracks: SeriesBySymbol,
    champion: Bundle | None,
    sequences: Mapping[str, Float64s],
    progress: Progress,
) -> ModelReport:
    """Compare a backtest's forecasts with the same model frozen, another version, and the online linear forecast.

    Args:
        scoring: the backtest.
        tracks: its forecasts.
        champion: the other version; it is scored on as many candles before the promotion as well, PAST at most.
        sequences: each symbol's candles (n, columns); the linear forecast learns from all before the promotion.
        progress: shows how far it is.
    """
    entered = {CANDIDATE: tracks}
    entered[FROZEN] = _tracks(
        replace(scoring, bundle=without_online_learning(scoring.bundle)),
        sequences,
        FROZEN,
        progress,
    )
    before = None
    if champion is not None:
        name, challenged = champion.version, replace(scoring, bundle=champion)
        entered[name] = _tracks(challenged, sequences, name, progress)
        before = _before(challenged, sequences, progress)
    contest = _contest(entered, scoring, sequences, progress)
    notes = seen(scoring.bundle.version, scoring.bundle.card.trained_through_ms, contest)
    if champion is not None:
        notes += seen(champion.version, champion.card.trained_through_ms, contest, before)
    return ModelReport(
        f"Backtest of model version {scoring.bundle.version}",
        contest,
        f"As if promoted, as the candidate, at {format_timestamp(scoring.from_ms)} UTC.",
        champion="" if champion is None else champion.version,
        before=before,
        notes=notes,
    )


def _before(
    challenged: Scoring, sequences: Mapping[str, Float64s], progress: Progress
) -> Comparison:
    """Score the champion over as many candles right before the promotion."""
    promoted_ms, step_ms = challenged.from_ms, challenged.context.interval_ms
    count = max(candles_from(sequence, promoted_ms) for sequence in sequences.values())
    earlier = replace(challenged, from_ms=promoted_ms - min(count, PAST) * step_ms)
    parts = {
        symbol: whole[whole[:, OPEN_TIME] < promoted_ms] for symbol, whole in sequences.items()
    }
    name = challenged.bundle.version
    tracks = _tracks(earlier, parts, f"{name} before", progress)
    return _contest({name: tracks}, earlier, parts, progress)


def _tracks(
    scoring: Scoring, sequences: Mapping[str, Float64s], text: str, progress: Progress
) -> SeriesBySymbol:
    results = each(scoring, sequences, text, progress)
    return {result.symbol: result.track(scoring.context.interval_ms) for result in results}


def _contest(
    entered: Mapping[str, SeriesBySymbol],
    scoring: Scoring,
    sequences: Mapping[str, Float64s],
    progress: Progress,
) -> Comparison:
    """Compare forecasts over the candles that all of them have."""
    comparing = Comparing(
        scoring.from_ms, scoring.context.interval_ms, scoring.bundle.card.shrinkage
    )
    compared = {one.symbol: one for one in each(comparing, sequences, LINEAR, progress)}
    every = {**entered, LINEAR: {symbol: one.track for symbol, one in compared.items()}}
    times = shared_times(every.values())
    chosen = {name: {s: tracks[s].at(times[s]) for s in times} for name, tracks in every.items()}
    volatility = {
        s: compared[s].volatility[np.isin(compared[s].track.open_time_ms, times[s])] for s in times
    }
    contest = Comparison(chosen[LINEAR], volatility)
    for name, tracks in chosen.items():
        contest.add(name, tracks)
        if name == CANDIDATE:
            contest.add(RAW, tracks, raw=True)
    return contest
