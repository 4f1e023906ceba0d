"""Does it beat doing nothing? Trained on one span of recorded klines, scored candle by candle on a later one.

python -m benchmarks.skill --klines FOLDER                     # chosen on: train January and February, score March
python -m benchmarks.skill --klines FOLDER --month 2025-04     # the test
python -m benchmarks.skill --klines FOLDER --unseen            # trained on every second symbol, scored on the others
python -m benchmarks.skill --klines FOLDER --week FILE         # the same, on the symbols of another recording
python -m benchmarks.skill --klines FOLDER --ablation --json F # one setting changed at a time; goes on where F ends
"""

import argparse
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import numpy as np
from rich.console import Console

from benchmarks.market import STEP_MS, recorded_sequences
from benchmarks.variants import (
    ALSO_WITH_ONE_SET,
    DEFAULT,
    ONE_SET,
    VARIANTS,
    VariantScore,
    add_row,
    raw_of,
    read_rows,
    rows_of,
    table_of,
    variant_names,
)
from services.trainer.data.dataset import Split
from services.trainer.data.preparation import (
    PreparedData,
    build_card,
    fit_options,
    prepare_with_split,
)
from services.trainer.evaluate import (
    HeldOut,
    contest_of,
    forecast_with_one_set,
    forecasts,
    held_out_of,
    linear,
    with_past,
)
from services.trainer.fitting.fit import fit
from services.trainer.fitting.result import FitResult
from services.trainer.fitting.training_loop import FitCallbacks
from services.trainer.fitting.validation_scorer import build_epoch_scorer
from services.trainer.settings import TrainerSettings
from shared.core.arrays import Float64s
from shared.core.errors import BadSetting
from shared.core.evaluation.backtest import without_online_learning
from shared.core.evaluation.comparison import CANDIDATE, FROZEN, LINEAR, Comparison
from shared.core.model.card import Bundle
from shared.core.model.numeric_profile import self_test
from shared.core.online.context import FoldContext
from shared.core.sequence import OPEN_TIME
from shared.core.timestamps import parse_timestamp_ms
from shared.reporting.progress import comparison_table, track_count

TRAINED_UNTIL_MS: Final = parse_timestamp_ms("2025-03-01")
_WARM_UP_MS: Final = (
    4 * 86_400_000
)  # of another recording, for slow features: more than the longest window


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What is trained on, and which candles are scored."""

    title: str
    training: Mapping[str, Float64s]
    scored: Mapping[str, Float64s]  # with all the candles before those that are scored
    parts: list[HeldOut]


def main() -> None:
    """Train and score what the arguments say; print a table."""
    arguments = _parser().parse_args()
    for path in (arguments.klines, arguments.week):
        if path is not None and not path.exists():
            sys.exit(f"{path} is not there: name recorded klines")
    console = Console(width=None if sys.stdout.isatty() else 190)
    try:
        task = _task(arguments)
        said = f"{task.title}: {len(task.training)} symbols trained on, {len(task.parts)} scored"
        console.print(said, highlight=False)
        if arguments.ablation:
            console.print(table_of(_compared(arguments, task, console), task.title))
        else:
            _alone(arguments, task, console)
    except (BadSetting, ValueError) as error:
        sys.exit(str(error))


class Fits:
    """Bundles fitted on a task; of variants that differ in their online step alone, the fit is made once."""

    def __init__(self, task: Task, context: FoldContext) -> None:
        """Take what to train on."""
        self._training, self._context = task.training, context
        self._last: tuple[dict[str, object], PreparedData, FitResult] | None = None

    def bundle(self, name: str, given: Mapping[str, str]) -> Bundle:
        """Return the bundle of these settings."""
        settings = TrainerSettings.from_env(given)
        online = {"online_rate", "online_optimiser"} if settings.choose_by == "loss" else set[str]()
        key = settings.model_dump(exclude=online)
        if self._last is None or self._last[0] != key:
            self._last = (key, *self._fit(settings))
        _, prepared, fitted = self._last
        return Bundle(name, build_card(settings, prepared, fitted, None), fitted.weights, "")

    def _fit(self, settings: TrainerSettings) -> tuple[PreparedData, FitResult]:
        first_ms = int(min(q[0, OPEN_TIME] for q in self._training.values()))
        validation_ms = int((TRAINED_UNTIL_MS - first_ms) * settings.validation_share)
        split = Split(TRAINED_UNTIL_MS - validation_ms, TRAINED_UNTIL_MS)
        prepared = prepare_with_split(settings, self._training, split)
        callbacks, options = (
            FitCallbacks(build_epoch_scorer(settings, prepared, self._context)),
            fit_options(settings),
        )
        return prepared, fit(
            settings.architecture, prepared.dataset, options, threading.Event(), callbacks=callbacks
        )


def _compared(arguments: argparse.Namespace, task: Task, console: Console) -> list[VariantScore]:
    """Score one variant after the other; those that the file has are taken from there."""
    known, rows = read_rows(arguments.json), list[VariantScore]()
    context = FoldContext("5m", STEP_MS, self_test())
    fits = Fits(task, context)
    for name in arguments.only or VARIANTS:
        settings, names, begun = (
            {**VARIANTS[name], **dict(arguments.set)},
            variant_names(name),
            monotonic(),
        )
        wanted = (task.title, settings, len(task.parts))
        found = [
            row
            for row in known
            if row.name in names and (row.scored, row.settings, row.symbols) == wanted
        ]
        is_known = len(found) == len(names)
        if not is_known:
            contest = _contest(
                fits.bundle(name, settings), task, context, one_set=name in ALSO_WITH_ONE_SET
            )
            default: list[float] = next(
                (list(row.errors) for row in rows if row.name == DEFAULT), []
            )
            found = list(rows_of(name, contest, default, task.title, settings, monotonic() - begun))
        for row in found:
            rows.append(row)
            console.print(
                f"{row.line()}{' known' if is_known else ''}", highlight=False, soft_wrap=True
            )
            if not is_known:
                add_row(arguments.json, row)
    return rows


def _alone(arguments: argparse.Namespace, task: Task, console: Console) -> None:
    """Score the variants asked for, each in a table with all its forecasts."""
    context = FoldContext("5m", STEP_MS, self_test())
    fits = Fits(task, context)
    for name in arguments.only or (DEFAULT,):
        bundle = fits.bundle(name, {**VARIANTS[name], **dict(arguments.set)})
        contest = _contest(bundle, task, context, one_set=arguments.one_set)
        whole = with_past(task.parts, task.scored)
        with track_count(
            LINEAR, sum(len(part.before) + len(part.candles) for part in whole)
        ) as progress:
            contest.add(LINEAR, linear(whole, context, bundle.card.shrinkage, progress))
        table = comparison_table(contest)
        table.title = f"{name}: {task.title}"
        console.print(table)
        for line in _comparisons(contest, by_symbol=arguments.by_symbol):
            console.print(line, highlight=False)


def _comparisons(contest: Comparison, *, by_symbol: bool) -> Iterator[str]:
    for other in contest.names[1:]:
        found = contest.skill(CANDIDATE, other)
        if found is not None and other != CANDIDATE:
            yield f"  candidate against {other}: {found.value:+.4%} (p = {found.p:.2g})"
    for symbol in contest.symbols if by_symbol else []:
        one = contest.symbol_skill(CANDIDATE, symbol)
        yield (
            f"  {symbol}: {one.value:+.4%} ({one.low:+.4%} to {one.high:+.4%})"
            if one
            else f"  {symbol}"
        )


def _contest(bundle: Bundle, task: Task, context: FoldContext, *, one_set: bool) -> Comparison:
    """Score a bundle learning and frozen, calibrated and raw; and, if wanted, with one set of weights for all."""
    tracks = forecasts(
        {CANDIDATE: bundle, FROZEN: without_online_learning(bundle)}, task.parts, context
    )
    if one_set:
        with track_count(ONE_SET, sum(len(part.candles) for part in task.parts)) as progress:
            tracks[ONE_SET] = forecast_with_one_set(bundle, task.parts, context, progress)
    contest = contest_of(tracks, task.parts, context.interval_ms)
    for name in list(tracks)[1:]:
        contest.add(raw_of(name), tracks[name], raw=True)
    return contest


def _task(arguments: argparse.Namespace) -> Task:
    sequences = recorded_sequences(arguments.klines)
    training = {s: q[q[:, OPEN_TIME] < TRAINED_UNTIL_MS] for s, q in sorted(sequences.items())}
    if arguments.week is not None:
        recorded = recorded_sequences(arguments.week)
        scored = {s: q for s, q in sorted(recorded.items()) if s not in training}
        from_ms = int(min(q[0, OPEN_TIME] for q in scored.values())) + _WARM_UP_MS
        title = (
            f"symbols never seen, from {np.datetime64(from_ms, 'ms').astype('datetime64[m]')} on"
        )
    else:
        from_ms = parse_timestamp_ms(f"{arguments.month}-01")
        until_ms = parse_timestamp_ms(str(np.datetime64(arguments.month) + 1) + "-01")
        scored = {s: q[q[:, OPEN_TIME] < until_ms] for s, q in sorted(sequences.items())}
        title = arguments.month
    if arguments.unseen:
        names = list(training)
        training, scored = {s: training[s] for s in names[::2]}, {s: scored[s] for s in names[1::2]}
        title += ", symbols never seen"
    if arguments.candles is not None:
        title += f", first {arguments.candles:,} candles"
    return Task(
        title,
        training,
        scored,
        held_out_of(scored, from_ms, arguments.candles or sys.maxsize, len(scored)),
    )


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or name.lower() not in TrainerSettings.model_fields:
        message = f"{text!r} is no NAME=value of a trainer's setting, such as EPOCHS=1"
        raise argparse.ArgumentTypeError(message)
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.skill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--klines", type=Path, required=True, help="a folder of recorded 5m klines")
    parser.add_argument("--month", default="2025-03", help="the month that is scored (2025-03)")
    others = parser.add_mutually_exclusive_group()
    others.add_argument(
        "--unseen", action="store_true", help="train on every second symbol, score the others"
    )
    others.add_argument(
        "--week", type=Path, metavar="FILE", help="score the other symbols of this recording"
    )
    parser.add_argument("--candles", type=int, help="at most so many of a symbol are scored")
    parser.add_argument("--ablation", action="store_true", help="all variants, one row each")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="rows of the ablation: known ones are not made again",
    )
    parser.add_argument(
        "--only", action="append", choices=VARIANTS, help="this variant alone; may be said again"
    )
    parser.add_argument(
        "--one-set", action="store_true", help="with one set of weights for all symbols as well"
    )
    parser.add_argument("--by-symbol", action="store_true", help="each symbol's skill as well")
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=value",
        help="a setting of all variants",
    )
    return parser


if __name__ == "__main__":
    main()
