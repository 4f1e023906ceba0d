"""Measure, and print one table: `make bench`, `make bench-full`. Nothing here passes or fails."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from rich.console import Console

from benchmarks import archive, latency, machine, scaling, startup, steps, training
from benchmarks.chart import draw_bars
from benchmarks.result import Result, results_table, to_markdown
from shared.core.errors import UlstmError
from shared.local_servers import launcher
from shared.local_servers.data_folder import Servers

ROOT: Final = Path(__file__).parents[1]
CONSOLE: Final = Console(width=None if sys.stdout.isatty() else 180)


@dataclass(frozen=True, slots=True)
class BenchmarkOptions:
    """What to measure, and with what."""

    is_full: bool
    yardstick: Path | None  # the source of limit.cc, which is not part of this project
    recorded: Path | None  # a folder of recorded klines
    folder: Path
    report_progress: Callable[[str], None]


ResultSource = Callable[[BenchmarkOptions], Iterator[Result]]


def _step_results(options: BenchmarkOptions) -> Iterator[Result]:
    yield from steps.step_rows(options.yardstick, options.folder, options.report_progress)


def _latency_results(options: BenchmarkOptions) -> Iterator[Result]:
    with _servers(options) as servers:
        yield from latency.latency_rows(servers, options.folder, options.report_progress)


def _single_symbol_results(options: BenchmarkOptions) -> Iterator[Result]:
    with _servers(options) as servers:
        yield from latency.single_symbol_rows(servers, options.folder, options.report_progress)


def _startup_results(options: BenchmarkOptions) -> Iterator[Result]:
    with _servers(options) as servers:
        yield from startup.startup_rows(servers, options.folder, options.report_progress)


def _archive_results(options: BenchmarkOptions) -> Iterator[Result]:
    size = archive.full_size(options.recorded) if options.is_full else archive.SHORT
    with _servers(options) as servers:
        yield from archive.archive_rows(servers, options.folder, size, options.report_progress)


def _training_results(options: BenchmarkOptions) -> Iterator[Result]:
    yield from training.training_rows(options.recorded, options.report_progress)


def _scaling_results(options: BenchmarkOptions) -> Iterator[Result]:
    yield from scaling.scaling_rows(options.report_progress)


SHORT: Final[dict[str, ResultSource]] = {
    "steps": _step_results,
    "latency": _latency_results,
    "single-symbol": _single_symbol_results,
    "startup": _startup_results,
    "archive": _archive_results,
}
FULL: Final[dict[str, ResultSource]] = {
    **SHORT,
    "training": _training_results,
    "scaling": _scaling_results,
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


@contextmanager
def _servers(options: BenchmarkOptions) -> Iterator[Servers]:
    """Start a Kafka and a Redis for one group of rows, so that none finds another's records."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        options.report_progress("starting Kafka and Redis")
        with launcher.start(Path(folder), die_with_parent=True) as running:
            yield running.servers


def _progress_printer(started_s: float) -> Callable[[str], None]:
    return lambda text: CONSOLE.print(
        f"[dim]{monotonic() - started_s:6.1f} s[/dim]  {text}", highlight=False
    )


def _path_from_env(name: str) -> Path | None:
    return Path(os.environ[name]) if os.environ.get(name) else None


if __name__ == "__main__":
    main()
