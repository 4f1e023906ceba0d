"""A backlog of candles, from the topic to published predictions."""

import signal
from collections.abc import Iterator
from time import monotonic
from typing import Final

from benchmarks.deployment import BenchmarkDeployment, BenchmarkOptions, until
from benchmarks.models import DEFAULT
from benchmarks.result import Result

SYMBOLS: Final = 500
HISTORY: Final = 64  # candles of each symbol before the promotion
BACKLOG: Final = 200  # candles of each symbol: 17 hours of 5m
REPLICAS: Final = 2
LOOK_S: Final = 0.25  # of 16 s, so that the looking costs nothing
_THOUSAND: Final = 1_000


def catch_up_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the row of a catch-up of the default model that publishes."""
    report_progress = options.report_progress
    with options.deployments() as deploy, deploy("backlog.") as deployment:
        deployment.write_candles(SYMBOLS, 0, HISTORY)
        deployment.release_model(DEFAULT, HISTORY, symbols=SYMBOLS)
        _start_replicas(deployment)
        deployment.await_folded(SYMBOLS * HISTORY)
        deployment.kill_replicas(signal.SIGTERM)
        report_progress(f"catch-up: {SYMBOLS} symbols, {BACKLOG} candles behind")
        deployment.write_candles(SYMBOLS, HISTORY, HISTORY + BACKLOG)
        _start_replicas(deployment)
        started_s, used_s = deployment.await_live(), deployment.processor_s()
        until(
            lambda: deployment.total("predictions_total") >= SYMBOLS * BACKLOG,
            poll_interval_s=LOOK_S,
        )
        seconds, used_s = monotonic() - started_s, deployment.processor_s() - used_s
    count = SYMBOLS * BACKLOG
    note = (
        f"{count:,} candles of {SYMBOLS} symbols in {seconds:.1f} s,"
        f" {count / seconds:,.0f} candles/s with {REPLICAS} predictors; Kafka on the same cores;"
        f" processor time of the predictors: {used_s / count * 1e3:.3f} ms a candle"
    )
    what = "catch-up that publishes, default model, per 1,000 candles"
    yield Result(what, seconds / count * _THOUSAND, "s", at_most=0.125, note=note)


def _start_replicas(deployment: BenchmarkDeployment) -> None:
    for _ in range(REPLICAS):
        deployment.start_predictor()
