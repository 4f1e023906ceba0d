"""Checking a log with `ulstm verify`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from time import monotonic
from typing import Final, NamedTuple

from benchmarks.deployment import BenchmarkDeployment, BenchmarkOptions
from benchmarks.models import DEFAULT, ORIGINAL, BenchmarkModel
from benchmarks.result import Result

REPLICAS: Final = 2
SYMBOLS: Final = 24
LONGEST_MS: Final = 0.2  # a record: 5,000 of them a second


class _Audit(NamedTuple):
    """One run: seconds, processor seconds, largest process, numbers of checked records."""

    seconds: float
    processor_s: float
    memory_mb: float
    records: int
    predictions: int


def verify_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the rows of an audit of a log that predictors wrote, with the default model."""
    yield from _rows(options, DEFAULT, candles=3_500 if options.is_full else 2_500)


def original_verify_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the same rows with a model of the original's size."""
    yield from _rows(options, ORIGINAL, candles=900)


def _rows(options: BenchmarkOptions, model: BenchmarkModel, candles: int) -> Iterator[Result]:
    history = model.architecture.window_length
    with options.deployments() as deploy, deploy("verify.") as deployment:
        options.report_progress(f"verify: {REPLICAS} predictors write a log, {model.name}")
        deployment.write_candles(SYMBOLS, 0, history)
        deployment.release_model(model, history)
        deployment.write_candles(SYMBOLS, history, candles)
        for _ in range(REPLICAS):
            deployment.start_predictor()
        deployment.await_folded(SYMBOLS * candles)
        deployment.kill_replicas()
        for name, arguments in (("", ()), (" --quick", ("--quick", "--seed", "1"))):
            options.report_progress(f"verify{name}: {SYMBOLS} x {candles:,} candles")
            yield _result(f"ulstm verify{name}, {model.name}", _run(deployment, *arguments))


def _run(deployment: BenchmarkDeployment, *arguments: str) -> _Audit:
    started = monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "services.cli", "verify", "--json", *arguments],
        env={**os.environ, **deployment.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        output = b"" if process.stdout is None else process.stdout.read()
        # What this process and its own used: others have run before it.
        _, status, used = os.wait4(process.pid, 0)
        seconds, process.returncode = monotonic() - started, os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    parts = json.loads(output)["partitions"]
    records, predictions = (sum(p[name] for p in parts) for name in ("records", "predictions"))
    processor_s = used.ru_utime + used.ru_stime
    return _Audit(seconds, processor_s, used.ru_maxrss / 1024, records, predictions)


def _result(what: str, audit: _Audit) -> Result:
    note = (
        f"{audit.records:,} records and {audit.predictions:,} predictions in {audit.seconds:.1f} s,"
        f" starting included; {os.cpu_count()} processes, {audit.processor_s:.1f} s of processor"
        f" time: {audit.processor_s / audit.records * 1e3:.3f} ms a record; largest process"
        f" {audit.memory_mb:.0f} MB"
    )
    per_record_ms = audit.seconds / audit.records * 1e3
    return Result(f"{what}, a record", per_record_ms, "ms", at_most=LONGEST_MS, note=note)
