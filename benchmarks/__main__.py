"""Measure, and print one table: `make bench`, `make bench-full`. Nothing here passes or fails."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any, Final

from rich.console import Console

from benchmarks import machine
from benchmarks.archive import archive_rows
from benchmarks.catch_up import catch_up_rows
from benchmarks.contract import contract_rows
from benchmarks.deployment import BenchmarkOptions
from benchmarks.latency import latency_rows, original_latency_rows, single_symbol_rows
from benchmarks.live_page import page_rows
from benchmarks.result import Result, draw_bars, results_table, to_markdown
from benchmarks.scaling import scaling_rows
from benchmarks.startup import archive_restart_rows, startup_rows
from benchmarks.steps import step_rows
from benchmarks.training import training_rows
from benchmarks.verify import original_verify_rows, verify_rows
from shared.core.errors import UlstmError

ROOT: Final = Path(__file__).parents[1]
CONSOLE: Final = Console(width=None if sys.stdout.isatty() else 180)


ResultSource = Callable[[BenchmarkOptions], Iterator[Result]]

SHORT: Final[dict[str, ResultSource]] = {
    "steps": step_rows,
    "latency": latency_rows,
    "single-symbol": single_symbol_rows,
    "startup": startup_rows,
    "restart": archive_restart_rows,
    "catch-up": catch_up_rows,
    "archive": archive_rows,
    "page": page_rows,
    "verify": verify_rows,
}
FULL: Final = {
    **SHORT,
    "original-latency": original_latency_rows,
    "original-verify": original_verify_rows,
    "contract": contract_rows,
    "training": training_rows,
    "scaling": scaling_rows,
}


def main() -> None:
    """Measure, and write the figures as JSON and as a table for a document."""
    arguments = _parser().parse_args()
    facts, started_s, results = machine.facts(), monotonic(), list[Result]()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        options = BenchmarkOptions(
            arguments.full,
            _path_from_env("LIMIT"),
            _path_from_env("KLINES"),
            Path(folder),
            _progress_printer(started_s),
        )
        for name in arguments.only or (FULL if arguments.full else SHORT):
            measured = list(_measure(name, options))
            results += measured
            facts["seconds"] = round(monotonic() - started_s)
            _write_results(results, facts, arguments.out)
            if name == "scaling":
                chart = draw_bars("Cost of an event", measured)
                arguments.out.with_name("scaling.svg").write_text(chart)
    table = results_table(results, "measured side by side", machine.describe(facts))
    CONSOLE.print(table)
    markdown = arguments.out.with_suffix(".md")
    CONSOLE.print(f"figures: {arguments.out}, as a table for a document: {markdown}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="measure the longer rows as well")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(FULL), help="measure these groups of rows alone"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    return parser


def _write_results(results: list[Result], facts: dict[str, Any], out: Path) -> None:
    """Write the figures so far: an interrupted run leaves those."""
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = [result.fields() for result in results]
    out.write_text(json.dumps({"machine": facts, "rows": rows}, indent=1) + "\n")
    out.with_suffix(".md").write_text(to_markdown(results, machine.describe(facts)))


def _measure(name: str, options: BenchmarkOptions) -> Iterator[Result]:
    """Yield a group's rows; where one cannot be measured, a row with the reason."""
    try:
        yield from FULL[name](options)
    except (UlstmError, TimeoutError) as error:
        yield Result(name, None, "", note=str(error))


def _progress_printer(started_s: float) -> Callable[[str], None]:
    return lambda text: CONSOLE.print(
        f"[dim]{monotonic() - started_s:6.1f} s[/dim]  {text}", highlight=False
    )


def _path_from_env(name: str) -> Path | None:
    return Path(os.environ[name]) if os.environ.get(name) else None


if __name__ == "__main__":
    main()
