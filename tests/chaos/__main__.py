"""`python -m tests.chaos`: run a deployment under faults for some minutes, then audit it."""

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
from tests.chaos.plan import Episode, draw_plan
from tests.chaos.run import TWO_AT_ONCE, ChaosReport, run_episodes
from tests.chaos.system import SystemUnderFaults
from tests.chaos.watched_deployment import USUAL


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
    plan = draw_plan(options.seed, kinds, USUAL)
    try:
        with (
            _client_noise_in(folder / "client.log"),
            SystemUnderFaults(folder, options.seed, options.pace, options.protocol) as system,
        ):
            report = _run(system, options.seed, plan, options.minutes * 60, console)
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
        help="of faults and candles",
    )
    parser.add_argument(
        "--pace", type=float, default=0.25, help="seconds between two candles of a symbol"
    )
    parser.add_argument(
        "--protocol",
        choices=("classic", "consumer"),
        default="consumer",
        help="GROUP_PROTOCOL of the predictors",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(".ulstm/chaos"),
        help="for logs and the report",
    )
    parser.add_argument(
        "--only", action="append", choices=list(KINDS), help="a kind of fault; may be repeated"
    )
    return parser.parse_args()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _client_noise_in(log: Path) -> Iterator[None]:
    """Redirect standard error to a file: librdkafka writes fatal errors to it, whatever is set."""
    kept = os.dup(2)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _run(
    system: SystemUnderFaults, seed: int, plan: Iterator[Episode], seconds: float, console: Console
) -> ChaosReport:
    ends = time.monotonic() + seconds
    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting")

        def report_progress(doing: str, report: ChaosReport) -> None:
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

        return run_episodes(system, seed, episodes(), report_progress)


def _show(report: ChaosReport, console: Console) -> None:
    table = Table(title=f"chaos, seed {report.seed}, {report.seconds / 60:.0f} min")
    for name in ("fault", "times", "alone", "longest silence", "nearest to its bound"):
        table.add_column(name, justify="left" if name == "fault" else "right")
    for kind in [*KINDS, TWO_AT_ONCE]:
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
    findings = report.findings
    for name, right, wrong in (
        ("predictions", findings.predictions, findings.wrong_bytes),
        (
            "missing, unexpected, twice",
            "",
            findings.missing + findings.unexpected + findings.duplicates,
        ),
        ("dead letters", findings.dead_letters, findings.wrong_dead_letters),
        ("states in Redis", findings.redis_states, findings.wrong_redis_states),
        ("stuck", "", report.stuck),
    ):
        console.print(f"{name:28} {right:>8}   wrong {wrong}")
    for reason, count in report.exits.items():
        console.print(f"a replica ended by itself, {count} times: {reason}")
    for text in [*report.late, *report.wrong, *findings.wrong]:
        console.print(f"WRONG: {text}", style="red")


def _measured(count: int, silence_s: float, over_s: float) -> tuple[str, str, str]:
    return (
        str(count),
        f"{silence_s:.1f} s",
        f"{-over_s:.1f} s below" if over_s <= 0 else f"{over_s:.1f} s ABOVE",
    )


if __name__ == "__main__":
    sys.exit(main())
