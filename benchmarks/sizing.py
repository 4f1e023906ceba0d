r"""Measure disk, memory and time against the numbers of symbols and candles, step by step.

python -m benchmarks.sizing --klines FOLDER                    # all symbols of the folder
python -m benchmarks.sizing --klines FOLDER --times 2          # the span twice, the second later
python -m benchmarks.sizing --klines FOLDER --symbols 40 --days 1 --steps import again

Candles are written as the exchange's dumps, ZIPs of DAYS days. All but the last day is imported,
imported again and trained on; the last day is imported behind the promotion, and predictors catch
up. Servers and topics are this run's own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import redis

from benchmarks.deployment import BenchmarkDeployment, until
from benchmarks.dumps import write_dumps
from benchmarks.machine import describe, facts, resident_mb, tree_memory_mb
from benchmarks.market import STEP_MS
from benchmarks.recorded_market import Sequences, most_traded, read_folders
from shared.adapters.kafka.reader import Reader
from shared.local_servers import launcher

_LIMITED: Final = ("prlimit", "--nofile=1024")  # open files, as most systems allow a process
_REPLICAS: Final = 2
_DAY: Final = 288  # candles
_SAMPLE_S: Final = 0.2
STEPS: Final = ("import", "again", "train", "predict")


@dataclass(frozen=True, slots=True)
class CommandUsage:
    """The time and memory of a command, and its output."""

    seconds: float
    processor_s: float
    peak_mb: float  # of it and the processes that it has started
    output: str

    def __str__(self) -> str:
        """Return the figures as text."""
        return (
            f"{self.seconds:.0f} s, {self.processor_s:.0f} s of processor time,"
            f" at most {self.peak_mb:,.0f} MB"
        )


@dataclass(frozen=True, slots=True)
class SizingOptions:
    """The options of a run."""

    klines: list[Path]
    symbols: int
    days: int
    times: int
    steps: Sequence[str]
    settings: dict[str, str] = field(default_factory=dict)


def main() -> None:
    """Measure, and print a line for each figure."""
    options = _parse_options()
    machine, started = facts(), monotonic()
    candles = _choose(read_folders(options.klines, STEP_MS), options.symbols)
    with (
        tempfile.TemporaryDirectory() as name,
        launcher.start(Path(name) / "servers", die_with_parent=True) as running,
    ):
        folder = Path(name)
        deployment = BenchmarkDeployment(
            running.servers.kafka, running.servers.redis_url, "sizing.", folder
        )
        for line in _Run(deployment, options, folder).measure(candles):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    sys.stdout.write(describe({**machine, "seconds": round(monotonic() - started)}) + "\n")


def _choose(candles: Sequences, symbols: int) -> Sequences:
    return {symbol: candles[symbol] for symbol in most_traded(candles, symbols)}


@dataclass(frozen=True, slots=True)
class _Run:
    """One run on servers of its own."""

    deployment: BenchmarkDeployment
    options: SizingOptions
    folder: Path

    def measure(self, candles: Sequences) -> Iterator[str]:
        options, steps = self.options, self.options.steps
        history, last_day = write_dumps(candles, self.folder / "dumps", options.days, options.times)
        count = sum(map(len, candles.values())) * options.times
        files = len(list(history.iterdir()))
        symbols = len(candles)
        yield f"{symbols} symbols, {count:,} candles, {files:,} files of {options.days} days"
        if "import" in steps:
            yield f"import: {self.ulstm('import', str(history), '--json')}"
            size = self._log_bytes("klines") / self._records("klines")
            yield f"klines: {size:.0f} bytes a candle on disk"
        if "again" in steps:
            yield f"import again: {self.ulstm('import', str(history), '--json')}"
        if "train" in steps:
            yield f"train: {self.ulstm('train', '--promote', 'always')}"
            yield f"models: {self._log_bytes('models') / symbols:,.0f} bytes a symbol on disk"
        if "predict" in steps:
            yield from self._predict(last_day, symbols)

    def _predict(self, last_day: Path, symbols: int) -> Iterator[str]:
        deployment = self.deployment
        self.ulstm("import", str(last_day), "--json")
        started = monotonic()
        for _ in range(_REPLICAS):
            deployment.start_predictor()
        deployment.await_live()
        yield f"predictors: live after {monotonic() - started:.1f} s"
        new = _DAY * symbols
        until(lambda: self._records("predictions") >= new)
        deployment.await_idle()
        yield f"predictions: {self._log_bytes('predictions') / new:.0f} bytes each on disk"
        sizes = [resident_mb(replica.process.pid) or 0.0 for replica in deployment.replicas]
        yield f"predictors: {', '.join(f'{size:.0f}' for size in sizes)} MB, {symbols} symbols"
        with redis.Redis.from_url(deployment.redis_url) as client:
            used = int(client.info("memory")["used_memory"])
        yield f"Redis: {used / symbols:,.0f} bytes a symbol"

    def ulstm(self, *arguments: str) -> CommandUsage:
        """Run a command; return its time, memory and output."""
        started, output = monotonic(), self.folder / "output.txt"
        with output.open("wb") as stdout, (self.folder / "errors.txt").open("wb") as stderr:
            process = subprocess.Popen(
                [*_LIMITED, sys.executable, "-m", "services.cli", *arguments],
                env={**os.environ, **self.deployment.environ, **self.options.settings},
                stdout=stdout,
                stderr=stderr,
            )
            status, processor_s, peak_mb = _await_end(process.pid)
        if status:
            sys.exit(f"{' '.join(arguments)}: {(self.folder / 'errors.txt').read_text()[-2_000:]}")
        return CommandUsage(monotonic() - started, processor_s, peak_mb, output.read_text())

    def _records(self, topic: str) -> int:
        """Return how many records a topic has, with the markers of its transactions."""
        with Reader(self.deployment.kafka, getattr(self.deployment.topics, topic)) as reader:
            return sum(reader.ends(partition)[1] for partition in range(reader.partitions()))

    def _log_bytes(self, topic: str) -> int:
        """Return the bytes that a topic's partitions take on the broker's disk."""
        name = getattr(self.deployment.topics, topic)
        folders = (self.folder / "servers").rglob(f"{name}-[0-9]*")
        return sum(file.stat().st_size for each in folders for file in each.glob("*.log"))


def _await_end(pid: int) -> tuple[int, float, float]:
    """Wait for the end of a process; return its status, its processor time and its largest memory.

    The kernel's own figure of the largest memory would count this process, which it was forked of.
    """
    peak_mb = 0.0
    while True:
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, used.ru_utime + used.ru_stime, peak_mb
        peak_mb = max(peak_mb, tree_memory_mb(pid))
        sleep(_SAMPLE_S)


def _parse_options() -> SizingOptions:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sizing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--klines", type=Path, nargs="+", required=True, help="folders of recorded candles")
    add("--symbols", type=int, default=0, help="the most traded ones; 0: all")
    add("--days", type=int, default=30, help="of a file")
    add("--times", type=int, default=1, help="how often the span is written, one after the other")
    add("--steps", nargs="+", choices=STEPS, default=STEPS, help="what is measured")
    add("--settings", type=json.loads, default={}, help='such as {"EPOCHS": "1"}')
    given = parser.parse_args()
    return SizingOptions(
        given.klines, given.symbols, given.days, given.times, given.steps, given.settings
    )


if __name__ == "__main__":
    main()
