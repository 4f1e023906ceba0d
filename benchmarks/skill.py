"""Measure skill: train on one span of recorded klines, score candle by candle on a later one.

python -m benchmarks.skill --klines FOLDER                     # train Jan and Feb, score March
python -m benchmarks.skill --klines FOLDER --month 2025-04     # the month that nothing was tuned on
python -m benchmarks.skill --klines FOLDER --unseen            # train every second symbol
python -m benchmarks.skill --klines FOLDER --week FILE         # symbols of another recording
python -m benchmarks.skill --klines FOLDER --ablation --json F # one setting changed at a time
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
from benchmarks.shared_weights import forecast_with_shared_weights
from benchmarks.variants import (
    ALSO_WITH_ONE_SET,
    DEFAULT,
    ONE_SET,
    VARIANTS,
    VariantScore,
    append_row,
    raw_name,
    read_rows,
    variant_names,
    variant_rows,
    variants_table,
)
from services.trainer.card import build_card
from services.trainer.data.preparation import PreparedData, fit_options, prepare_with_split
from services.trainer.data.split import Split
from services.trainer.evaluate import forecast_with_progress
from services.trainer.fitting.fit import fit
from services.trainer.fitting.result import FitResult
from services.trainer.fitting.training_loop import FitCallbacks
from services.trainer.fitting.validation_scorer import build_epoch_scorer
from services.trainer.settings import TrainerSettings
from shared.core.arrays import Float64s
from shared.core.errors import BadSetting
from shared.core.evaluation.backtest import without_online_learning
from shared.core.evaluation.comparison import CHALLENGER, CHALLENGER_FROZEN, Comparison
from shared.core.evaluation.contenders import Contenders
from shared.core.evaluation.held_out import HeldOutSpan, hold_out
from shared.core.model.card import Bundle
from shared.core.model.numeric_profile import self_test
from shared.core.online.context import FoldContext
from shared.core.sequence import OPEN_TIME
from shared.core.timestamps import parse_timestamp_ms
from shared.reporting.progress import comparison_table, track_count

TRAINED_UNTIL_MS: Final = parse_timestamp_ms("2025-03-01")
_WARM_UP_MS: Final = 4 * 86_400_000  # of another recording: more than the longest window


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What to train on, and which candles to score."""

    title: str
    training: Mapping[str, Float64s]
    spans: list[HeldOutSpan]


def main() -> None:
    """Train, score and print a table."""
    arguments = _parser().parse_args()
    for path in (arguments.klines, arguments.week):
        if path is not None and not path.exists():
            sys.exit(f"{path} does not exist: name a folder or file of recorded klines")
    console = Console(width=None if sys.stdout.isatty() else 190)
    try:
        task = _task(arguments)
        counts = f"{len(task.training)} symbols to train on, {len(task.spans)} to score"
        console.print(f"{task.title}: {counts}", highlight=False)
        if arguments.ablation:
            rows = _score_variants(arguments, task, console)
            console.print(variants_table(rows, task.title))
        else:
            _score_in_detail(arguments, task, console)
    except (BadSetting, ValueError) as error:
        sys.exit(str(error))


class FitCache:
    """Fits bundles on a task, once for variants that differ in their online step alone."""

    def __init__(self, task: Task, context: FoldContext) -> None:
        """Take the candles to train on."""
        self._training, self._context = task.training, context
        self._last: tuple[dict[str, object], PreparedData, FitResult] | None = None

    def bundle(self, name: str, given: Mapping[str, str]) -> Bundle:
        """Fit the bundle of these settings, or return it if only the online step differs."""
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


def _score_variants(
    arguments: argparse.Namespace, task: Task, console: Console
) -> list[VariantScore]:
    """Score one variant after the other; take those that the file has from there."""
    known, rows = read_rows(arguments.json), list[VariantScore]()
    context = FoldContext("5m", STEP_MS, self_test())
    fits = FitCache(task, context)
    for name in arguments.only or VARIANTS:
        settings = {**VARIANTS[name], **dict(arguments.set)}
        found = _known_rows(known, name, settings, task)
        is_known = bool(found)
        if not is_known:
            started_s = monotonic()
            is_shared = name in ALSO_WITH_ONE_SET
            comparison = _compare(fits.bundle(name, settings), task, context, is_shared)
            default = next((list(row.errors) for row in rows if row.name == DEFAULT), [])
            seconds = monotonic() - started_s
            found = list(variant_rows(name, comparison, default, task.title, settings, seconds))
        for row in found:
            rows.append(row)
            text = f"{row.line()}{' known' if is_known else ''}"
            console.print(text, highlight=False, soft_wrap=True)
            if not is_known:
                append_row(arguments.json, row)
    return rows


def _known_rows(
    known: list[VariantScore], name: str, settings: Mapping[str, str], task: Task
) -> list[VariantScore]:
    """Select a variant's rows of the same task and settings; none if they are incomplete."""
    names, wanted = variant_names(name), (task.title, settings, len(task.spans))
    found = [r for r in known if r.name in names and (r.scored, r.settings, r.symbols) == wanted]
    return found if len(found) == len(names) else []


def _score_in_detail(arguments: argparse.Namespace, task: Task, console: Console) -> None:
    """Score each variant asked for, with a table of all its forecasts."""
    context = FoldContext("5m", STEP_MS, self_test())
    fits = FitCache(task, context)
    for name in arguments.only or (DEFAULT,):
        bundle = fits.bundle(name, {**VARIANTS[name], **dict(arguments.set)})
        comparison = _compare(bundle, task, context, arguments.one_set, with_linear=True)
        table = comparison_table(comparison)
        table.title = f"{name}: {task.title}"
        console.print(table)
        for line in _comparison_lines(comparison, by_symbol=arguments.by_symbol):
            console.print(line, highlight=False)


def _comparison_lines(comparison: Comparison, *, by_symbol: bool) -> Iterator[str]:
    for other in comparison.names[1:]:
        skill = comparison.skill(CHALLENGER, other)
        if skill is not None and other != CHALLENGER:
            yield f"  challenger against {other}: {skill.value:+.4%} (p = {skill.p:.2g})"
    for symbol in comparison.symbols if by_symbol else []:
        skill = comparison.symbol_skill(CHALLENGER, symbol)
        interval = f"{skill.value:+.4%} ({skill.low:+.4%} to {skill.high:+.4%})" if skill else ""
        yield f"  {symbol}: {interval}"


def _compare(
    bundle: Bundle, task: Task, context: FoldContext, is_shared: bool, *, with_linear: bool = False
) -> Comparison:
    """Score a bundle learning and frozen, each calibrated and raw.

    With `is_shared` it is scored with one set of weights for all symbols as well.
    """
    bundles = {CHALLENGER: bundle, CHALLENGER_FROZEN: without_online_learning(bundle)}
    shrinkage = bundle.card.shrinkage if with_linear else None
    contenders = Contenders(bundles, context, shrinkage)
    forecasts = forecast_with_progress(contenders, task.spans)
    comparison = contenders.compare(forecasts)
    frozen = {one.symbol: one.series[CHALLENGER_FROZEN] for one in forecasts}
    comparison.add(raw_name(CHALLENGER_FROZEN), frozen, raw=True)
    if is_shared:
        with track_count(ONE_SET, sum(len(span.candles) for span in task.spans)) as advance:
            shared = forecast_with_shared_weights(bundle, task.spans, context, advance)
        comparison.add(ONE_SET, shared)
        comparison.add(raw_name(ONE_SET), shared, raw=True)
    return comparison


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
    spans = hold_out(scored, from_ms, arguments.candles or sys.maxsize, len(scored))
    return Task(title, training, spans)


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or name.lower() not in TrainerSettings.model_fields:
        message = f"{text!r} is not NAME=value of a trainer setting, such as EPOCHS=1"
        raise argparse.ArgumentTypeError(message)
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.skill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--klines", type=Path, required=True, help="a folder of recorded 5m klines")
    parser.add_argument("--month", default="2025-03", help="the month to score (2025-03)")
    others = parser.add_mutually_exclusive_group()
    others.add_argument(
        "--unseen", action="store_true", help="train on every second symbol, score the others"
    )
    others.add_argument("--week", type=Path, metavar="FILE", help="score symbols of this recording")
    parser.add_argument("--candles", type=int, help="score at most so many of a symbol")
    parser.add_argument("--ablation", action="store_true", help="all variants, one row each")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="keep the rows of the ablation here; do not measure known ones again",
    )
    parser.add_argument(
        "--only", action="append", choices=VARIANTS, help="this variant alone; may be repeated"
    )
    parser.add_argument(
        "--one-set",
        action="store_true",
        help="score with one set of weights for all symbols as well",
    )
    parser.add_argument(
        "--by-symbol", action="store_true", help="print the skill of each symbol as well"
    )
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
