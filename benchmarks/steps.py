"""The online step: at a close and in full, compared with Keras, XLA and a yardstick."""

import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.deployment import BenchmarkOptions
from benchmarks.models import DEFAULT, ORIGINAL
from benchmarks.result import Peer, Result
from benchmarks.stepping import StepTimes, best_of, keras_steps, our_steps, xla_steps
from benchmarks.worker import BackgroundWorker
from shared.core.model.kernel.library import variant_name

SYMBOLS: Final = 500  # in each of two processes, as two replicas share them
ROUNDS: Final = 7
KERAS_STEPS: Final = 3
XLA_STEPS: Final = 20
STRICT_MATH: Final = ("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
LIMIT_FLAGS: Final = ("-std=c++17", "-O3", *STRICT_MATH, "-w")
HOT: Final = "hot path at a close, per symbol"
FULL: Final = "full step and prediction, per event"


def step_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the rows of the step: of the default model, and of one of the original's size."""
    options.report_progress("online step: the default model")
    yield from _default_rows()
    yield from _original_rows(options)


def _default_rows() -> Iterator[Result]:
    """Yield the rows of the default model: two processes at once, and one alone."""
    found: dict[str, list[StepTimes]] = defaultdict(list)
    with (
        BackgroundWorker(our_steps, SYMBOLS, DEFAULT) as first,
        BackgroundWorker(our_steps, SYMBOLS, DEFAULT) as second,
    ):
        for _ in range(ROUNDS):
            for name, taken in _our_round(first, second):
                found[name].append(taken)
    best = {name: best_of(several) for name, several in found.items()}
    for what, name, at_most in (
        (HOT, "close", 0.1),
        (FULL, "event", 0.1),
        (f"{FULL}, in a catch-up that publishes", "published", 0.2),
    ):
        alone = _describe(best[f"{name} alone"])
        note = f"2 processes, {SYMBOLS} symbols each, best of {ROUNDS}; one process alone {alone}"
        yield Result(f"{what}, {DEFAULT.name}", best[name].best, "ms", at_most, note=note)


def _original_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield every implementation in turn, the best of each.

    Without the source of the yardstick its row gives the reason.
    """
    yardstick = _build_yardstick(options.yardstick, options.folder)
    options.report_progress("online step: preparing 2 x 500 symbols, Keras and XLA")
    with (
        BackgroundWorker(our_steps, SYMBOLS, ORIGINAL) as first,
        BackgroundWorker(our_steps, SYMBOLS, ORIGINAL) as second,
    ):
        for worker in (first, second):
            worker.ask("close")
        with BackgroundWorker(keras_steps) as stock, BackgroundWorker(xla_steps) as xla:
            stock.ask("event", 1)
            xla.ask("event", 1)
            found: dict[str, list[StepTimes]] = defaultdict(list)
            for at in range(ROUNDS):
                options.report_progress(f"online step: round {at + 1} of {ROUNDS}")
                for name, taken in _round(first, second, stock, xla):
                    found[name].append(taken)
                if isinstance(yardstick, Path):
                    found["limit"].append(_measure_yardstick(yardstick))
    yield from _results({name: best_of(several) for name, several in found.items()}, yardstick)


def _round(
    first: BackgroundWorker,
    second: BackgroundWorker,
    stock: BackgroundWorker,
    xla: BackgroundWorker,
) -> Iterator[tuple[str, StepTimes]]:
    for name, taken in _our_round(first, second):
        yield name, taken
        yield "keras", stock.ask("event", KERAS_STEPS)
        yield "xla", xla.ask("event", XLA_STEPS)
    yield "kernel", first.ask("kernel")


def _our_round(
    first: BackgroundWorker, second: BackgroundWorker
) -> Iterator[tuple[str, StepTimes]]:
    for name in ("close", "event", "published"):
        yield f"{name} alone", first.ask(name)
        for worker in (first, second):
            worker.begin(name)
        one, other = first.answer(), second.answer()
        yield name, StepTimes(max(one.best, other.best) / 2, (one.processor + other.processor) / 4)


def _results(best: dict[str, StepTimes], yardstick: Path | str) -> Iterator[Result]:
    keras = Peer("Keras train_on_batch + predict_on_batch", best["keras"].best)
    xla = Peer("XLA autodiff", best["xla"].best)
    alone = {name: _describe(best[f"{name} alone"]) for name in ("close", "event", "published")}
    hot = (
        f"2 processes, {SYMBOLS} symbols each, best of {ROUNDS}; one process alone {alone['close']}"
    )
    full = f"2 processes; as in a backtest and a recovery; one process alone {alone['event']}"
    digest = f"2 processes, state digest included; one process alone {alone['published']}"
    for row, name, at_most, least_ratio, peer, note in (
        (HOT, "close", 0.10, 1000, keras, hot),
        (HOT, "close", 0.10, None, xla, "same run"),
        (FULL, "event", 0.25, 400, keras, full),
        (FULL, "event", 0.25, 8, xla, "same run"),
        (f"{FULL}, in a catch-up that publishes", "published", 0.25, None, None, digest),
    ):
        yield Result(
            f"{row}, {ORIGINAL.name}", best[name].best, "ms", at_most, least_ratio, peer, note
        )
    yield _one_process_result(best, yardstick)


def _one_process_result(best: dict[str, StepTimes], yardstick: Path | str) -> Result:
    what, event_ms = f"{FULL}, {ORIGINAL.name}, one process", best["event alone"].best
    if isinstance(yardstick, str):
        return Result(what, event_ms, "ms", note=yardstick)
    limit = Peer("limit.cc, one thread", best["limit"].best)
    note = f"gradient, prediction and Adam without the fold: {_describe(best['kernel'])}"
    return Result(what, event_ms, "ms", least_ratio=0.65, peer=limit, note=note)


def _describe(taken: StepTimes) -> str:
    return f"{taken.best:.3f} ms ({taken.processor:.3f} ms of processor time)"


def _build_yardstick(limit: Path | None, folder: Path) -> Path | str:
    """Build the yardstick; return its program, or the reason why there is none."""
    if limit is None:
        return "LIMIT=FILE names the source of the yardstick: it is not set"
    if not limit.exists():
        return f"LIMIT is {limit}, which does not exist"
    lanes = {"v4": ["-march=x86-64-v4", "-DVL=16"], "v3": ["-march=x86-64-v3", "-DVL=8"]}
    variant = lanes.get(variant_name(), ["-DVL=4"])
    installed = next((path for path in map(shutil.which, ("g++", "clang++")) if path), None)
    compiler = [installed] if installed else [sys.executable, "-m", "ziglang", "c++"]
    program = folder / "limit"
    command = [*compiler, *LIMIT_FLAGS, *variant, str(limit), "-o", str(program)]
    done = subprocess.run(command, check=False)
    return program if done.returncode == 0 else f"{compiler[0]} does not build {limit.name}"


def _measure_yardstick(program: Path) -> StepTimes:
    output = subprocess.run([program, "5"], check=True, capture_output=True, text=True).stdout
    milliseconds = float(output.split("both")[1].split()[0])
    return StepTimes(milliseconds, milliseconds)
