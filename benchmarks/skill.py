"""Measure skill: train on one span of recorded klines, score candle by candle on a later one.

python -m benchmarks.skill --klines FOLDER                     # train Jan and Feb, score March
python -m benchmarks.skill --klines FOLDER --month 2025-04     # the month that nothing was tuned on
python -m benchmarks.skill --klines FOLDER --unseen            # train every second symbol
python -m benchmarks.skill --klines FOLDER --week FILE         # symbols of another recording
python -m benchmarks.skill --klines FOLDER --ablation --json F # one setting changed at a time
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic

from rich.console import Console

from benchmarks.skill_task import FitCache, SkillTask, compare_forecasts, load_task
from benchmarks.variants import (
    ALSO_WITH_ONE_SET,
    DEFAULT,
    VARIANTS,
    VariantScore,
    append_rows,
    read_rows,
    variant_names,
    variant_rows,
    variants_table,
)
from services.trainer.settings import TrainerSettings
from shared.core.errors import BadSetting
from shared.core.evaluation.comparison import CHALLENGER, Comparison
from shared.reporting.progress import comparison_table


def main() -> None:
    """Train, score and print a table."""
    arguments = _parser().parse_args()
    for path in (arguments.klines, arguments.week):
        if path is not None and not path.exists():
            sys.exit(f"{path} does not exist: name a folder or file of recorded klines")
    console = Console(width=None if sys.stdout.isatty() else 190)
    try:
        task = load_task(arguments)
        counts = f"{len(task.training)} symbols to train on, {len(task.spans)} to score"
        console.print(f"{task.title}: {counts}", highlight=False)
        if arguments.ablation:
            rows = _score_variants(arguments, task, console)
            console.print(variants_table(rows, task.title))
        else:
            _score_in_detail(arguments, task, console)
    except (BadSetting, ValueError) as error:
        sys.exit(str(error))


def _score_variants(
    arguments: argparse.Namespace, task: SkillTask, console: Console
) -> list[VariantScore]:
    """Score one variant after the other; take those that the file has from there."""
    known, rows = read_rows(arguments.json), list[VariantScore]()
    fits = FitCache(task)
    for name in arguments.only or VARIANTS:
        settings = {**VARIANTS[name], **dict(arguments.set)}
        found = _known_rows(known, name, settings, task)
        is_known = bool(found)
        if not is_known:
            started_s, is_shared = monotonic(), name in ALSO_WITH_ONE_SET
            bundle = fits.bundle(name, settings)
            comparison = compare_forecasts(bundle, task, fits.context, is_shared)
            default = next((row.errors for row in rows if row.name == DEFAULT), ())
            seconds = monotonic() - started_s
            found = list(variant_rows(name, comparison, default, task.title, settings, seconds))
        for row in found:
            text = f"{row.line()}{' known' if is_known else ''}"
            console.print(text, highlight=False, soft_wrap=True)
        if not is_known:
            append_rows(arguments.json, found)
        rows += found
    return rows


def _known_rows(
    known: list[VariantScore], name: str, settings: Mapping[str, str], task: SkillTask
) -> list[VariantScore]:
    """Select a variant's rows of the same task and settings; none if they are incomplete."""
    names, wanted = variant_names(name), (task.title, settings, len(task.spans))
    found = [r for r in known if r.name in names and (r.scored, r.settings, r.symbols) == wanted]
    return found if len(found) == len(names) else []


def _score_in_detail(arguments: argparse.Namespace, task: SkillTask, console: Console) -> None:
    """Score each variant asked for, with a table of all its forecasts."""
    fits = FitCache(task)
    for name in arguments.only or (DEFAULT,):
        bundle = fits.bundle(name, {**VARIANTS[name], **dict(arguments.set)})
        comparison = compare_forecasts(
            bundle, task, fits.context, arguments.one_set, with_linear=True
        )
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


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or name.lower() not in TrainerSettings.model_fields:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=value of a trainer setting, such as EPOCHS=1"
        )
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
    unseen = "train on every second symbol, score the others"
    others.add_argument("--unseen", action="store_true", help=unseen)
    others.add_argument("--week", type=Path, metavar="FILE", help="score symbols of this recording")
    parser.add_argument("--candles", type=int, help="score at most so many of a symbol")
    parser.add_argument("--ablation", action="store_true", help="all variants, one row each")
    keep = "keep the rows of the ablation here; do not measure known ones again"
    parser.add_argument("--json", type=Path, metavar="FILE", help=keep)
    only = "this variant alone; may be repeated"
    parser.add_argument("--only", action="append", choices=VARIANTS, help=only)
    one_set = "score with one set of weights for all symbols as well"
    parser.add_argument("--one-set", action="store_true", help=one_set)
    by_symbol = "print the skill of each symbol as well"
    parser.add_argument("--by-symbol", action="store_true", help=by_symbol)
    setting = parser.add_argument("--set", type=_setting, action="append", default=[])
    setting.metavar, setting.help = "NAME=value", "a setting of all variants"
    return parser


if __name__ == "__main__":
    main()
