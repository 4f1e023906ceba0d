"""`python -m tests.simulation`: run schedules of faults; exit 1 if one breaks the promise."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.simulation.mutants import MUTANTS
from tests.simulation.soak import SoakReport, shrink_seed, soak
from tests.simulation.world import run_seed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed; the others follow it")
    parser.add_argument("--processes", type=int, default=None, help="default: one a processor core")
    parser.add_argument("--out", type=Path, default=None, help="write the figures as JSON")
    parser.add_argument(
        "--mutants", action="store_true", help="count the schedules until each mutant is caught"
    )
    parser.add_argument(
        "--protocol", choices=("classic", "consumer"), default="classic", help="of the groups"
    )
    given = parser.parse_args()
    console = Console(stderr=True)
    if given.mutants:
        return _count_until_caught(range(given.seed, given.seed + given.schedules), Console())
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("schedules", total=given.schedules)

        def report_progress(report: SoakReport) -> None:
            progress.update(
                task,
                completed=report.schedules,
                description=f"schedules ({len(report.problems)} failed)",
            )

        report = soak(
            range(given.seed, given.seed + given.schedules),
            given.processes,
            report_progress,
            given.protocol,
        )
    _show(report, Console())
    if given.out is not None:
        report.write(given.out)
    for seed, problem in list(report.problems.items())[:3]:
        _explain(seed, problem, console)
    return 1 if report.problems else 0


def _count_until_caught(seeds: range, console: Console) -> int:
    table = Table("mutant", "caught after schedules", "by", title="mutants")
    missed = 0
    for name, parts in MUTANTS.items():
        found = ((n, run_seed(seed, parts).problem) for n, seed in enumerate(seeds, start=1))
        after, problem = next(
            ((n, problem) for n, problem in found if problem), (None, "not caught")
        )
        missed += after is None
        table.add_row(name, str(after), problem[:60])
    console.print(table)
    return 1 if missed else 0


def _show(report: SoakReport, console: Console) -> None:
    table = Table("fault", "times", title=f"{report.schedules} schedules")
    for name, times in sorted(report.counts.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{times:,}")
    console.print(table)
    console.print(
        f"{sum(report.counts.values()):,} faults in {report.schedules:,} schedules,"
        f" {report.steps:,} steps, {report.simulated_s / 3600:,.0f} simulated hours,"
        f" {report.wall_s:,.0f} s:"
        f" {len(report.problems) - report.stuck} wrong, {report.stuck} stuck"
    )


def _explain(seed: int, problem: str, console: Console) -> None:
    console.print(f"seed {seed}: {problem}", markup=False)
    schedule, simplify = shrink_seed(seed)
    console.print(
        f"run it again: python -m tests.simulation --schedules 1 --seed {seed}", markup=False
    )
    console.print(f"shrink to: {schedule}\n{simplify}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
