"""`python -m tests.feed`: whatever the exchange does, is the log what the exchange has?"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console

from shared.adapters.kafka.connection import KafkaConnection
from shared.local_servers import launcher
from tests.feed.run import ScenarioResult, run_scenario
from tests.feed.scenario import Scenario
from tests.feed.table import SCENARIOS


def main() -> int:
    options = _options()
    chosen = _choose(options)
    console = Console(soft_wrap=True)
    if options.list:
        for scenario in chosen:
            console.print(f"{scenario.kind:2}  {scenario.name}")
        return 0
    folder: Path = options.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with launcher.start(folder / "servers", die_with_parent=True) as running:
        results = _run_all(chosen, running.servers.kafka, folder, options.parallel, console)
    shutil.rmtree(folder / "servers", ignore_errors=True)
    wrong = [result.name for result in results if not result.is_right]
    console.print(f"{len(results)} scenarios, {len(wrong)} wrong; logs in {folder}")
    for name in wrong:
        console.print(f"WRONG: {name}", style="red")
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.feed", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="part of a name; repeatable"
    )
    parser.add_argument("--kind", type=int, action="append", help="number of a kind; repeatable")
    parser.add_argument("--quick", action="store_true", help="only those that `make test` runs")
    parser.add_argument("--list", action="store_true", help="only list them")
    parser.add_argument("--parallel", type=int, default=3, help="scenarios at once")
    parser.add_argument("--folder", type=Path, default=Path(".ulstm/feed"), help="for logs")
    return parser.parse_args()


def _choose(options: argparse.Namespace) -> list[Scenario]:
    chosen = [
        scenario
        for scenario in SCENARIOS
        if (not options.only or any(part in scenario.name for part in options.only))
        and (not options.kind or scenario.kind in options.kind)
        and (scenario.quick or not options.quick)
    ]
    if not chosen:
        sys.exit("no scenario has such a name: see --list")
    return chosen


def _run_all(
    chosen: Sequence[Scenario],
    kafka: KafkaConnection,
    folder: Path,
    parallel: int,
    console: Console,
) -> list[ScenarioResult]:
    results = []
    with ThreadPoolExecutor(parallel) as pool:
        futures = {
            pool.submit(run_scenario, scenario, kafka, folder): scenario for scenario in chosen
        }
        for future in as_completed(futures):
            failure = future.exception()
            result = future.result() if failure is None else _failed(futures[future], failure)
            results.append(result)
            mark = "ok   " if result.is_right else "WRONG"
            console.print(f"{mark} {result.seconds:5.1f} s  {result.name}", highlight=False)
            for text in result.wrong[:8]:
                console.print(f"      {text}", style="red", markup=False)
    return results


def _failed(scenario: Scenario, failure: BaseException) -> ScenarioResult:
    """Return the result of a scenario that could not be played to its end."""
    return ScenarioResult(scenario.name, [f"{type(failure).__name__}: {failure}"])


if __name__ == "__main__":
    sys.exit(main())
