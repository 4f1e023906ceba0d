"""The online step: at a close, in full, and beside what else could make it."""

import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.result import Peer, Result
from benchmarks.stepping import StepTimes, best_of, keras_steps, ours, xla_steps
from benchmarks.worker import BackgroundWorker
from shared.core.model.kernel.library import variant_name

SYMBOLS: Final = 500  # in each of two processes, as two replicas share them
ROUNDS: Final = 7
KERAS_STEPS: Final = 3
XLA_STEPS: Final = 20
LIMIT_FLAGS: Final = [
    "-std=c++17",
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-w",
]
HOT: Final = "hot path at a close, per symbol"
FULL: Final = "full step and prediction, per event"


def step_rows(limit: Path, folder: Path, tell: Callable[[str], None]) -> Iterator[Result]:
    """Yield the rows of the step, all ways measured in turn, the best of each.

    Args:
        limit: the source of the yardstick, which may be missing.
        folder: where to build it.
        tell: takes what is being done.
    """
    yardstick = _built(limit, folder)
    tell("online step: preparing 2 x 500 symbols, Keras and XLA")
    with BackgroundWorker(ours, SYMBOLS) as first, BackgroundWorker(ours, SYMBOLS) as second:
        for worker in (first, second):
            worker.ask("close")
        with BackgroundWorker(keras_steps) as stock, BackgroundWorker(xla_steps) as xla:
            stock.ask("event", 1)
            xla.ask("event", 1)
            found: dict[str, list[StepTimes]] = defaultdict(list)
            for at in range(ROUNDS):
                tell(f"online step: round {at + 1} of {ROUNDS}")
                for name, taken in _round(first, second, stock, xla):
                    found[name].append(taken)
                if isinstance(yardstick, Path):
                    found["limit"].append(_limit(yardstick))
    yield from _rows({name: best_of(several) for name, several in found.items()}, yardstick)


def _round(
    first: BackgroundWorker,
    second: BackgroundWorker,
    stock: BackgroundWorker,
    xla: BackgroundWorker,
) -> Iterator[tuple[str, StepTimes]]:
    for name in ("close", "event", "published"):
        yield f"{name} alone", first.ask(name)
        for worker in (first, second):
            worker.begin(name)
        one, other = first.answer(), second.answer()
        yield name, StepTimes(max(one.best, other.best) / 2, (one.processor + other.processor) / 4)
        yield "keras", stock.ask("event", KERAS_STEPS)
        yield "xla", xla.ask("event", XLA_STEPS)
    yield "kernel", first.ask("kernel")


def _rows(best: dict[str, StepTimes], yardstick: Path | str) -> Iterator[Result]:
    keras, xla = (
        Peer("Keras train_on_batch + predict_on_batch", best["keras"].best),
        Peer("XLA autodiff", best["xla"].best),
    )
    hot = f"2 processes, {SYMBOLS} symbols each, best of {ROUNDS}; one process alone {_told(best['close alone'])}"
    yield Result(
        HOT, best["close"].best, "ms", at_most=0.10, least_ratio=1000, peer=keras, note=hot
    )
    yield Result(HOT, best["close"].best, "ms", at_most=0.10, peer=xla, note="same run")
    full = f"2 processes; as in a backtest and a recovery; one process alone {_told(best['event alone'])}"
    yield Result(
        FULL, best["event"].best, "ms", at_most=0.25, least_ratio=400, peer=keras, note=full
    )
    yield Result(
        FULL, best["event"].best, "ms", at_most=0.25, least_ratio=8, peer=xla, note="same run"
    )
    note = f"2 processes, the digest of the state included; one process alone {_told(best['published alone'])}"
    yield Result(
        f"{FULL}, in a catch-up that publishes",
        best["published"].best,
        "ms",
        at_most=0.25,
        note=note,
    )
    what, alone = f"{FULL}, one process", best["event alone"].best
    if isinstance(yardstick, str):
        yield Result(what, alone, "ms", note=yardstick)
        return
    limit = Peer("limit.cc, one thread", best["limit"].best)
    note = f"gradient, prediction and Adam alone, without the fold around them: {_told(best['load_kernel'])}"
    yield Result(what, alone, "ms", least_ratio=0.65, peer=limit, note=note)


def _told(taken: StepTimes) -> str:
    return f"{taken.best:.3f} ms ({taken.processor:.3f} ms of processor time)"


def _built(limit: Path, folder: Path) -> Path | str:
    """Return the yardstick's program, or why there is none."""
    if not limit.exists():
        return "the yardstick limit.cc is not there: LIMIT=FILE names it"
    lanes = {"v4": ["-march=x86-64-v4", "-DVL=16"], "v3": ["-march=x86-64-v3", "-DVL=8"]}
    variant = lanes.get(variant_name(), ["-DVL=4"])
    installed = next((path for path in map(shutil.which, ("g++", "clang++")) if path), None)
    compiler = [installed] if installed else [sys.executable, "-m", "ziglang", "c++"]
    program = folder / "limit"
    done = subprocess.run(
        [*compiler, *LIMIT_FLAGS, *variant, str(limit), "-o", str(program)], check=False
    )
    return program if done.returncode == 0 else f"{compiler[0]} does not build {limit.name}"


def _limit(program: Path) -> StepTimes:
    told = subprocess.run([program, "5"], check=True, capture_output=True, text=True).stdout
    milliseconds = float(told.split("both")[1].split()[0])
    return StepTimes(milliseconds, milliseconds)
