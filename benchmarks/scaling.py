"""How the cost of an event depends on symbols, window, width and replicas."""

from collections.abc import Iterator
from typing import Final

from benchmarks.deployment import BenchmarkOptions
from benchmarks.models import DEFAULT, ORIGINAL, BenchmarkModel, a_model
from benchmarks.result import Peer, Result
from benchmarks.stepping import StepTimes, best_of, our_steps
from benchmarks.worker import BackgroundWorker

SYMBOLS: Final = 128
ROUNDS: Final = 5
CASES: Final[tuple[tuple[str, int, BenchmarkModel], ...]] = (
    *((f"{count:,} symbols", count, DEFAULT) for count in (64, 512, 2048)),
    *(
        (f"levels, window {length}", SYMBOLS, a_model((32, 32), length, "levels"))
        for length in (64, 288, 512)
    ),
    *(
        (f"LSTM({width}) -> LSTM({width})", SYMBOLS, a_model((width, width), 288, "levels"))
        for width in (8, 32, 64, 128)
    ),
    (f"model of {ORIGINAL.name}", SYMBOLS, ORIGINAL),
)


def scaling_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the cost of an event in each case, the default measured in turn with it."""
    with BackgroundWorker(our_steps, SYMBOLS) as default:
        for name, symbols, model in CASES:
            options.report_progress(f"scaling: {name}")
            with BackgroundWorker(our_steps, symbols, model) as worker:
                pairs = [(worker.ask("event"), default.ask("event")) for _ in range(ROUNDS)]
            yield _result(name, pairs)
        options.report_progress("scaling: 2 replicas")
        with BackgroundWorker(our_steps, SYMBOLS) as second:
            yield _result("2 replicas", [_measure_together(default, second) for _ in range(ROUNDS)])


def _measure_together(
    first: BackgroundWorker, second: BackgroundWorker
) -> tuple[StepTimes, StepTimes]:
    alone = first.ask("event")
    for worker in (first, second):
        worker.begin("event")
    one, other = first.answer(), second.answer()
    return StepTimes(max(one.best, other.best) / 2, max(one.processor, other.processor)), alone


def _result(name: str, pairs: list[tuple[StepTimes, StepTimes]]) -> Result:
    case, default = best_of([pair[0] for pair in pairs]), best_of([pair[1] for pair in pairs])
    note = f"full step and prediction; {case.processor:.3f} ms of processor time"
    return Result(
        f"cost of an event, {name}",
        case.best,
        "ms",
        peer=Peer("default, one process", default.best),
        note=note,
    )
