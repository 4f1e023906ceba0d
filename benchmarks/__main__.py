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

from benchmarks import archive as logs
from benchmarks import latency as closes
from benchmarks import machine, steps, training
from benchmarks import scaling as growth
from benchmarks import startup as lives
from benchmarks.chart import bars
from benchmarks.result import Result, markdown_of, table_of
from shared.core.errors import UlstmError
from shared.local_servers import launcher

ROOT: Final = Path(__file__).parents[1]
CONSOLE: Final = Console(width=None if sys.stdout.isatty() else 180)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to measure, and where."""

    is_full: bool
    limit: Path
    recorded: Path | None
    folder: Path
    tell: Callable[[str], None]


Family = Callable[[Asked], Iterator[Result]]


def _steps(asked: Asked) -> Iterator[Result]:
    yield from steps.step_rows(asked.limit, asked.folder, asked.tell)


def _closes(asked: Asked) -> Iterator[Result]:
    with _servers(asked) as running:
        yield from closes.close_rows(running, asked.folder, asked.tell)


def _lone(asked: Asked) -> Iterator[Result]:
    with _servers(asked) as running:
        yield from closes.lone_rows(running, asked.folder, asked.tell)


def _lives(asked: Asked) -> Iterator[Result]:
    with _servers(asked) as running:
        yield from lives.life_rows(running, asked.folder, asked.tell)


def _logs(asked: Asked) -> Iterator[Result]:
    size = logs.SHORT
    if asked.is_full:
        size = logs.Size(logs.LONG.symbols, logs.LONG.candles, logs.LONG.scored, asked.recorded)
    with _servers(asked) as running:
        yield from logs.log_rows(running, asked.folder, size, asked.tell)


def _training(asked: Asked) -> Iterator[Result]:
    yield from training.training_rows(asked.recorded, asked.tell)


def _growth(asked: Asked) -> Iterator[Result]:
    yield from growth.growth_rows(asked.tell)


SHORT: Final[dict[str, Family]] = {
    "steps": _steps,
    "closes": _closes,
    "lone": _lone,
    "lives": _lives,
    "logs": _logs,
}
FULL: Final[dict[str, Family]] = {**SHORT, "training": _training, "growth": _growth}


def main() -> None:
    """Measure what is asked for; write the figures as JSON and as a table for a document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the longer rows too")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(FULL), help="these families of rows alone"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    given = parser.parse_args()
    facts, begun, rows = machine.facts(), monotonic(), list[Result]()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        asked = Asked(given.full, _limit(), _recorded(), Path(folder), _tell(begun))
        for name in given.only or (FULL if given.full else SHORT):
            measured = list(_measured(name, asked))
            rows += measured
            if name == "growth":
                given.out.parent.mkdir(parents=True, exist_ok=True)
                given.out.with_name("growth.svg").write_text(bars(measured))
            facts["seconds"] = round(monotonic() - begun)
            _keep(rows, facts, given.out)
    CONSOLE.print(table_of(rows, "measured side by side", machine.told(facts)))
    CONSOLE.print(
        f"figures: {given.out}, as a table for a document: {given.out.with_suffix('.md')}"
    )


def _keep(rows: list[Result], facts: dict[str, Any], out: Path) -> None:
    """Write what has been measured so far: a run that is broken off leaves that."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(
        json.dumps({"machine": facts, "rows": [row.fields() for row in rows]}, indent=1) + "\n"
    )
    out.with_suffix(".md").write_text(markdown_of(rows, machine.told(facts)))


def _measured(name: str, asked: Asked) -> Iterator[Result]:
    """Yield a family's rows; where one cannot be measured, a row that says why."""
    try:
        yield from FULL[name](asked)
    except (UlstmError, TimeoutError) as error:
        yield Result(name, None, "", note=str(error))


@contextmanager
def _servers(asked: Asked) -> Iterator[launcher.Servers]:
    """Kafka and Redis of their own for each family, so that none finds the leavings of another."""
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        asked.tell("starting Kafka and Redis")
        with launcher.start(Path(folder), die_with_parent=True) as running:
            yield running.servers


def _tell(begun: float) -> Callable[[str], None]:
    return lambda what: CONSOLE.print(
        f"[dim]{monotonic() - begun:6.1f} s[/dim]  {what}", highlight=False
    )


def _limit() -> Path:
    return Path(os.environ.get("LIMIT") or ROOT.parent / "shared" / "perf" / "limit.cc")


def _recorded() -> Path | None:
    return Path(os.environ["KLINES"]) if os.environ.get("KLINES") else None


if __name__ == "__main__":
    main()
