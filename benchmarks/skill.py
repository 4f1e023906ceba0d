r"""Measure skill: train on one span of recorded klines, score candle by candle on a later one.

python -m benchmarks.skill --klines FOLDER                     # 3/4 of the span, then the rest
python -m benchmarks.skill --klines FOLDER --train-symbols @SEEN --score-symbols @UNSEEN \
    --train-from 2025-01-01 --train-to 2025-04-01 --score-to 2025-05-01 --json RESULTS.json
python -m benchmarks.skill --klines FOLDER --ablation --json RESULTS.json  # one setting changed

Each candle is forecast before it is learnt from, by the fold that runs live. The symbols learn from
the start of the data on, unless --cold is given. The market's move is the median over the symbols
most traded in the training span, and its baskets are made from that span.
"""

import sys
from time import monotonic

from rich.console import Console

from benchmarks.skill_fit import FitCache, score
from benchmarks.skill_options import SkillOptions, parse_options
from benchmarks.skill_result import ResultFile, VariantResult, variant_result
from benchmarks.skill_tables import variants_table
from benchmarks.skill_task import SkillTask, load_task
from benchmarks.variants import ALSO_WITH_ONE_SET, DEFAULT, VARIANTS, Settings
from shared.core.errors import UlstmError
from shared.core.evaluation.actionable import summarise_actionable
from shared.core.evaluation.comparison import CHALLENGER, Comparison
from shared.core.evaluation.contenders import backtests_of
from shared.core.evaluation.costs import NetReturn
from shared.core.evaluation.interval_summary import summarise_intervals
from shared.core.online.context import FoldContext
from shared.reporting.tables import (
    actionable_line,
    comparison_lines,
    comparison_table,
    intervals_table,
    net_returns_table,
)


def main() -> None:
    """Train, score and print tables."""
    options = parse_options(__doc__ or "")
    console = Console(width=None if sys.stdout.isatty() else 190)
    try:
        _run(options, console)
    except (UlstmError, ValueError) as error:
        sys.exit(str(error))


def _run(options: SkillOptions, console: Console) -> None:
    task = load_task(options)
    context = FoldContext.of_this_machine(task.interval)
    file = ResultFile(options.json, task.fields, context.numeric_profile)
    for line in task.describe():
        console.print(line, highlight=False)
    runner, results = VariantRunner(task, context, options, console), list[VariantResult]()
    for name in options.only or (VARIANTS if options.ablation else (DEFAULT,)):
        settings = {**VARIANTS[name], **options.given}
        results.append(file.find(name, settings) or runner.measure(name, settings))
        file.write(results)
    console.print(variants_table(results, task.title))


class VariantRunner:
    """Fits and scores one variant after the other."""

    def __init__(
        self, task: SkillTask, context: FoldContext, options: SkillOptions, console: Console
    ) -> None:
        """Take the candles, the context to fold in, and what to print."""
        self._task, self._context = task, context
        self._options, self._console = options, console
        self._fits = FitCache(task, context)

    def measure(self, name: str, settings: Settings) -> VariantResult:
        """Fit and score a variant, and print its tables unless it is one of many."""
        started_s = monotonic()
        bundle = self._fits.bundle(name, settings)
        scored = score(
            bundle,
            self._task.held_out,
            self._context,
            is_shared=name in ALSO_WITH_ONE_SET,
            with_baselines=not self._options.ablation,
        )
        net = scored.contenders.net_returns(scored.forecasts, self._options.costs)
        backtests = backtests_of(CHALLENGER, scored.forecasts)
        intervals = summarise_intervals(backtests)
        seconds = monotonic() - started_s
        if not self._options.ablation:
            self._print_tables(name, scored.comparison, net[CHALLENGER])
            line = actionable_line(summarise_actionable(backtests))
            self._console.print(f"  {line}", highlight=False)
            if intervals is not None:
                self._console.print(intervals_table(intervals))
        self._console.print(f"{name}: {seconds:.0f} s", highlight=False)
        return variant_result(name, settings, seconds, scored.comparison, net, intervals)

    def _print_tables(self, name: str, comparison: Comparison, net: list[NetReturn]) -> None:
        table = comparison_table(comparison)
        table.title = f"{name}: {self._task.title}"
        self._console.print(table)
        for line in comparison_lines(comparison):
            self._console.print(f"  {line}", highlight=False)
        for symbol in comparison.symbols if self._options.by_symbol else ():
            self._console.print(_symbol_line(comparison, symbol), highlight=False)
        self._console.print(net_returns_table(net))


def _symbol_line(comparison: Comparison, symbol: str) -> str:
    skill = comparison.symbol_skill(CHALLENGER, symbol)
    interval = f"{skill.value:+.4%} ({skill.low:+.4%} to {skill.high:+.4%})" if skill else ""
    return f"  {symbol}: {interval}"


if __name__ == "__main__":
    main()
