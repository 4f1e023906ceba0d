"""Importing into the log, reading it and backtesting."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Consumer, TopicPartition

from benchmarks.deployment import BenchmarkDeployment, BenchmarkOptions
from benchmarks.market import STEP_MS, a_sequence, describe_source
from benchmarks.models import DEFAULT
from benchmarks.result import Peer, Result
from shared.core.arrays import Float64s
from shared.core.evaluation.backtest import backtest
from shared.core.evaluation.forecasts import HeldOutSpan
from shared.core.online.context import FoldContext
from shared.core.online.model import Model
from shared.core.sequence import EXCHANGE_COLUMNS, SEQUENCE_LENGTH
from shared.log.archive import Archive, TimeSpan

READS: Final = 2
SCALING: Final = 1_500  # candles of one symbol folded by each process
MILLION: Final = 1_000_000
_COLUMNS: Final = ("open_time", "open", "high", "low", "close", "volume", "close_time")


@dataclass(frozen=True, slots=True)
class Size:
    """How much to import and to backtest."""

    symbols: int
    candles: int  # of each symbol
    scored: int  # of each symbol, at the end
    recorded: Path | None = None  # a folder of klines in place of synthetic ones

    @property
    def source(self) -> str:
        return describe_source(self.recorded)


def archive_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the rows of import, reading and backtest."""
    report_progress = options.report_progress
    size = Size(40, 34_560, 25_000, options.recorded) if options.is_full else Size(8, 25_000, 2_000)
    recordings = size.recorded or _write_recordings(options.folder / "recordings", size)
    with options.deployments() as deploy, deploy("log.") as deployment:
        report_progress(f"import: {size.symbols} x {size.candles:,} candles")
        yield _import_result(deployment, recordings, size)
        yield _read_result(deployment, report_progress)
        report_progress(f"backtest: {size.symbols} x {size.scored:,} candles")
        yield _backtest_result(deployment, size)
    report_progress("backtest: one process and two")
    yield _two_processes_result()


def _import_result(deployment: BenchmarkDeployment, recordings: Path, size: Size) -> Result:
    seconds, output = _ulstm(deployment, "import", str(recordings), "--json")
    candles = json.loads(output)["candles"]
    note = f"{candles:,} in {seconds:.1f} s, {candles / seconds:,.0f} candles/s; {size.source}"
    what, figure = "ulstm import of 1.4 M candles", seconds / candles * 1.4e6
    return Result(what, figure, "s", at_most=60.0, note=note)


def _read_result(deployment: BenchmarkDeployment, report_progress: Callable[[str], None]) -> Result:
    ours, theirs, count = [], [], 0
    for at in range(READS):
        report_progress(f"archive read: {at + 1} of {READS}, then a bare consumer")
        started = monotonic()
        archived = Archive(deployment.kafka, deployment.topics).read(TimeSpan())
        ours.append(monotonic() - started)
        count = sum(map(len, archived.sequences.values()))
        theirs.append(_bare_consumer_s(deployment, count))
    per_million = MILLION / count
    return Result(
        "archive read, 1 M klines from Kafka into validated arrays",
        min(ours) * per_million,
        "s",
        least_ratio=0.25,
        peer=Peer("a bare consumer that only counts", min(theirs) * per_million),
        note=f"{count:,} read {READS} times, in turn, the best of each",
    )


def _bare_consumer_s(deployment: BenchmarkDeployment, count: int) -> float:
    started = monotonic()
    topics = deployment.topics
    config = deployment.kafka.client_config({"group.id": "bare-count"})
    consumer = Consumer({**config, "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(topics.klines, at, 0) for at in range(topics.partitions)])
    seen = 0
    while seen < count:
        seen += sum(message.error() is None for message in consumer.consume(2000, 1.0))
    seconds = monotonic() - started
    consumer.close()
    return seconds


def _backtest_result(deployment: BenchmarkDeployment, size: Size) -> Result:
    version = deployment.release_model(DEFAULT, 0, promote=False)
    newest = Archive(deployment.kafka, deployment.topics).newest_ms() or 0
    start = str(newest - (size.scored - 1) * STEP_MS)
    seconds, output = _ulstm(
        deployment, "backtest", f"--model={version}", "--from", start, "--json"
    )
    outcomes = sum(scores["n"] for scores in json.loads(output).values())
    note = (
        f"`ulstm backtest`, {outcomes:,} outcomes in {seconds:.1f} s with {os.cpu_count()}"
        f" processes, reading included: {outcomes / seconds:,.0f} candles/s; {size.source}"
    )
    minutes = seconds / outcomes * MILLION / 60
    what = "backtest of 1 M candles, from the topic to scores"
    return Result(what, minutes, "min", at_most=6.0, note=note)


def _ulstm(deployment: BenchmarkDeployment, *arguments: str) -> tuple[float, str]:
    started = monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        env={**os.environ, **deployment.environ},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return monotonic() - started, done.stdout


def _two_processes_result() -> Result:
    """Measure one process and two in turn, each with the same work, without their start."""
    sequence = a_sequence(SEQUENCE_LENGTH + SCALING, 1)
    best = {1: float("inf"), 2: float("inf")}
    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as first, ProcessPoolExecutor(1, spawn) as second:
        for pool in (first, second):
            pool.submit(_run_backtest, sequence[: SEQUENCE_LENGTH + 100]).result()
        for _ in range(3):
            for processes in (1, 2):
                started = monotonic()
                pools = (first, second)[:processes]
                for running in [pool.submit(_run_backtest, sequence) for pool in pools]:
                    running.result()
                best[processes] = min(best[processes], (monotonic() - started) / processes)
    return Result(
        f"backtest, 2 processes, per {SCALING:,} candles",
        best[2],
        "s",
        least_ratio=1.8,
        peer=Peer("1 process", best[1]),
        note="one kernel thread each, in turn, the best of three",
    )


def _run_backtest(sequence: Float64s) -> int:
    """Backtest one symbol; runs in a separate process."""
    context = FoldContext.of_this_machine("5m")
    span = HeldOutSpan("SYN0000USDT", sequence, SEQUENCE_LENGTH)
    return sum(1 for _ in backtest(Model(DEFAULT.bundle()), span, context))


def _write_recordings(folder: Path, size: Size) -> Path:
    """Write synthetic candles as Parquet files in the form of recorded klines."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(size.symbols):
        times, *prices = a_sequence(size.candles, seed)[:, :EXCHANGE_COLUMNS].T
        opens, closes = times.astype("int64"), times.astype("int64") + STEP_MS - 1
        columns = dict(zip(_COLUMNS, (opens, *np.round(prices, 6), closes), strict=True))
        pq.write_table(pa.table(columns), folder / f"SYN{seed:04d}USDT-5m.parquet")
    return folder
