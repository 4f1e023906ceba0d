"""`python -m tests.chaos`: a deployment under faults for some minutes, then the verdict. `make chaos` runs it."""

import argparse
import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.chaos.faults import KINDS
from tests.chaos.plan import Episode, planned
from tests.chaos.run import TWO, ChaosReport, endured
from tests.chaos.system import USUAL, SystemUnderFaults


def main() -> int:
    options = _options()
    folder: Path = options.folder.resolve() / f"seed-{options.seed}"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    console = Console()
    console.print(f"seed {options.seed}, {options.minutes:g} minutes, logs in {folder}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    kinds = [KINDS[name] for name in options.only or KINDS]
    plan = planned(options.seed, kinds, USUAL)
    try:
        with (
            _client_noise_in(folder / "client.log"),
            SystemUnderFaults(folder, options.seed, options.pace) as system,
        ):
            report = _endured(system, options.seed, plan, options.minutes * 60, console)
    except KeyboardInterrupt:
        console.print("interrupted: nothing is left running")
        return 130
    (folder / "report.json").write_text(json.dumps(report.as_json(), indent=2))
    _show(report, console)
    if report.is_right:
        for kept in ("kafka-server", "redis-server", "snapshot"):
            shutil.rmtree(folder / kept, ignore_errors=True)
    console.print(f"{'right' if report.is_right else 'WRONG'}: see {folder}/report.json")
    return 0 if report.is_right else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument(
        "--seed",
        type=int,
        default=secrets.randbelow(2**31),
        help="draws the faults and the candles",
    )
    parser.add_argument(
        "--pace", type=float, default=0.25, help="seconds between two candles of a symbol"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(".ulstm/chaos"),
        help="where logs and the report are kept",
    )
    parser.add_argument(
        "--only", action="append", choices=list(KINDS), help="a kind of fault; may be given again"
    )
    return parser.parse_args()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _client_noise_in(log: Path) -> Iterator[None]:
    """librdkafka writes what is fatal to a client to standard error, whatever it is told: into a file, meanwhile."""
    kept = os.dup(2)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _endured(
    system: SystemUnderFaults, seed: int, plan: Iterator[Episode], seconds: float, console: Console
) -> ChaosReport:
    ends = time.monotonic() + seconds
    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting")

        def tell(doing: str, report: ChaosReport) -> None:
            seen = len(system.consumer.seen_at)
            progress.update(
                task, description=f"{report.faults.total()} faults, {seen:,} predictions: {doing}"
            )
            if not console.is_terminal:
                console.print(
                    f"{time.monotonic() - ends + seconds:6.0f} s  {seen:6} predictions  {doing}"
                )

        def episodes() -> Iterator[Episode]:
            while time.monotonic() < ends:
                yield next(plan)

        return endured(system, seed, episodes(), tell)


def _show(report: ChaosReport, console: Console) -> None:
    table = Table(title=f"chaos, seed {report.seed}, {report.seconds / 60:.0f} min")
    for name in ("fault", "times", "alone", "longest silence", "nearest to its bound"):
        table.add_column(name, justify="left" if name == "fault" else "right")
    for kind in [*KINDS, TWO]:
        times = report.times.get(kind)
        if times is None and not report.faults[kind]:
            continue
        measured = (
            ("", "", "")
            if times is None
            else _measured(times.count, times.longest_silence_s, times.over_bound_s)
        )
        table.add_row(kind, str(report.faults[kind] or ""), *measured)
    console.print(table)
    verdict = report.verdict
    for name, right, wrong in (
        ("predictions", verdict.predictions, verdict.wrong_bytes),
        (
            "missing, unexpected, twice",
            "",
            verdict.missing + verdict.unexpected + verdict.duplicates,
        ),
        ("dead letters", verdict.dead_letters, verdict.wrong_dead_letters),
        ("states in Redis", verdict.redis_states, verdict.wrong_redis_states),
        ("stuck", "", report.stuck),
    ):
        console.print(f"{name:28} {right:>8}   wrong {wrong}")
    for reason, count in report.exits.items():
        console.print(f"a replica ended by itself, {count} times: {reason}")
    for text in [*report.late, *report.wrong, *verdict.wrong]:
        console.print(f"WRONG: {text}", style="red")


def _measured(count: int, silence_s: float, over_s: float) -> tuple[str, str, str]:
    return (
        str(count),
        f"{silence_s:.1f} s",
        f"{-over_s:.1f} s below" if over_s <= 0 else f"{over_s:.1f} s ABOVE",
    )


if __name__ == "__main__":
    sys.exit(main())
