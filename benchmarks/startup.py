"""A predictor's start, restart and memory."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from statistics import median
from time import monotonic
from typing import Final

import redis

from benchmarks.deployment import BenchmarkDeployment, BenchmarkOptions, until
from benchmarks.machine import resident_mb
from benchmarks.models import DEFAULT
from benchmarks.result import Result
from benchmarks.stepping import a_market
from shared.core.online.state_codec import encode_state

SYMBOLS: Final = 500
HISTORY: Final = 288
SINCE: Final = 144  # candles since the promotion: 12 hours of 5m
ARCHIVE_SYMBOLS: Final = 2_000
SHORT_CANDLES: Final = 640  # of each: more than a sequence, so that a part is not needed
ARCHIVE_CANDLES: Final = 5_000  # 10 million together
STARTS_IN_BUNDLE: Final = 500  # its size is limited: the other symbols fold their sequences
HOUR: Final = 12  # candles since the promotion
REPLICAS: Final = 2
STARTS: Final = 3
HEAVY: Final = ("tensorflow", "keras", "sklearn", "pyarrow")
LOADED: Final = "import services.predictor.__main__, sys; print(*sys.modules)"


def startup_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the rows of a predictor's start, restart and memory."""
    yield _heavy_libraries_result()
    with options.deployments() as deploy:
        options.report_progress("predictor: starting on an empty log")
        with deploy("empty.") as deployment:
            seconds = [_start_s(deployment) for _ in range(STARTS)]
            empty_mb = resident_mb(deployment.replicas[0].process.pid)
        what = "predictor: process start to ready, nothing assigned that has records"
        yield Result(what, median(seconds), "s", at_most=2.0, note=f"median of {STARTS}")
        yield _state_size_result()
        with deploy("restart.") as deployment:
            yield from _restart_results(deployment, empty_mb, options.report_progress)


def archive_restart_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the rows of a restart of many symbols that have a long archive."""
    history = ARCHIVE_CANDLES if options.is_full else SHORT_CANDLES
    report_progress = options.report_progress
    with options.deployments() as deploy, deploy("archive.") as deployment:
        report_progress(f"restart: writing {ARCHIVE_SYMBOLS:,} x {history:,} candles")
        deployment.write_candles(ARCHIVE_SYMBOLS, 0, history)
        deployment.release_model(DEFAULT, history, symbols=STARTS_IN_BUNDLE)
        deployment.write_candles(ARCHIVE_SYMBOLS, history, history + HOUR)
        report_progress("restart: predictors read the archive")
        _restart_s(deployment)
        deployment.await_folded(ARCHIVE_SYMBOLS * (history + HOUR))
        what = f"predictor restart, {ARCHIVE_SYMBOLS:,} symbols with {history:,} candles each: "
        note = (
            f"{REPLICAS} predictors at once, the promotion {HOUR} candles back, its bundle with the"
            f" starts of {STARTS_IN_BUNDLE} symbols"
        )
        for redis_state, at_most in (("warm Redis", 3.0), ("empty Redis", 15.0)):
            report_progress(f"restart: {redis_state}")
            if at_most > 3.0:
                _flush_redis(deployment)
            seconds = _restart_s(deployment)
            report_progress(f"restart: {redis_state}: {seconds:.1f} s")
            yield Result(f"{what}{redis_state}", seconds, "s", at_most=at_most, note=note)
            deployment.await_idle()


def _heavy_libraries_result() -> Result:
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = sorted(set(HEAVY) & set(done.stdout.split()))
    note = f"of {', '.join(HEAVY)}; {', '.join(found) or 'none'} loaded"
    what = "predictor: heavy libraries in the process"
    return Result(what, len(found), "libraries", at_most=0, note=note)


def _state_size_result() -> Result:
    market = a_market(1, DEFAULT)
    market.event()  # the head has a state of its own from the first outcome on
    state = market.states[0]
    note = f"{DEFAULT.name}, {len(state.sequence)} candles: the bytes that Redis gets"
    size_mb = len(encode_state(state)) / 2**20
    return Result("state of a symbol as it is saved", size_mb, "MB", at_most=0.25, note=note)


def _start_s(deployment: BenchmarkDeployment) -> float:
    deployment.kill_replicas(signal.SIGTERM)
    replica = deployment.start_predictor()
    until(replica.is_ready)
    return monotonic() - replica.started_s


def _restart_results(
    deployment: BenchmarkDeployment, empty_mb: float | None, report_progress: Callable[[str], None]
) -> Iterator[Result]:
    what = f"predictor restart, {SYMBOLS} symbols, to live: "
    report_progress(
        f"restart: predictors process {HISTORY} candles of {SYMBOLS} symbols, a promotion and"
        f" {SINCE} candles"
    )
    deployment.write_candles(SYMBOLS, 0, HISTORY)
    deployment.release_model(DEFAULT, HISTORY)
    deployment.write_candles(SYMBOLS, HISTORY, HISTORY + SINCE)
    _restart_s(deployment)
    deployment.await_folded(SYMBOLS * (HISTORY + SINCE))
    report_progress("restart: warm Redis")
    note = f"{REPLICAS} predictors at once"
    yield Result(f"{what}warm Redis", _restart_s(deployment), "s", at_most=3.0, note=note)
    deployment.await_idle()
    yield _memory_result(deployment, empty_mb)
    _flush_redis(deployment)
    report_progress("restart: empty Redis")
    note = (
        f"{REPLICAS} predictors, the promotion {SINCE} candles back:"
        f" {SYMBOLS * SINCE:,} steps again"
    )
    yield Result(f"{what}empty Redis", _restart_s(deployment), "s", at_most=30.0, note=note)


def _flush_redis(deployment: BenchmarkDeployment) -> None:
    with redis.Redis.from_url(deployment.redis_url) as client:
        client.flushall()


def _restart_s(deployment: BenchmarkDeployment) -> float:
    """Measure the time from starting all replicas until every partition is live."""
    deployment.kill_replicas(signal.SIGTERM)
    started = monotonic()
    for _ in range(REPLICAS):
        deployment.start_predictor()
    return deployment.await_live() - started


def _memory_result(deployment: BenchmarkDeployment, empty_mb: float | None) -> Result:
    what = "memory per symbol in the predictor"
    sizes = [resident_mb(replica.process.pid) for replica in deployment.replicas]
    if empty_mb is None or None in sizes:
        missing = "this system has no resident memory under /proc"
        return Result(what, None, "MB", at_most=0.5, note=missing)
    grown = sum(size - empty_mb for size in sizes if size is not None)
    note = (
        f"resident memory of {REPLICAS} predictors with {SYMBOLS} symbols between them less that"
        " of as many without, idle after a warm restart"
    )
    return Result(what, grown / SYMBOLS, "MB", at_most=0.5, note=note)
