"""How the cost of an event depends on symbols, window, width and replicas."""

from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.result import Peer, Result
from benchmarks.stepping import DEFAULT, StepTimes, best_of, our_steps
from benchmarks.worker import BackgroundWorker
from shared.core.model.architecture import Architecture

SYMBOLS: Final = 128
ROUNDS: Final = 5
CASES: Final[tuple[tuple[str, int, Architecture], ...]] = (
    *((f"{count:,} symbols", count, DEFAULT) for count in (64, 512, 2048)),
    *(
        (f"window {length}", SYMBOLS, Architecture((32, 32), length, 6))
        for length in (64, 288, 1024)
    ),
    *(
        (f"LSTM({width}) -> LSTM({width})", SYMBOLS, Architecture((width, width), 288, 6))
        for width in (8, 32, 64, 128)
    ),
)

SMALL: Final = Architecture((32,), 16, 11)  # the trainer's default


def scaling_rows(report_progress: Callable[[str], None]) -> Iterator[Result]:
    """Yield the cost of an event in each case, the default measured in turn with it."""
    with BackgroundWorker(our_steps, SYMBOLS) as default:
        for name, symbols, architecture in CASES:
            report_progress(f"scaling: {name}")
            with BackgroundWorker(our_steps, symbols, architecture) as worker:
                yield _result(
                    name, [(worker.ask("event"), default.ask("event")) for _ in range(ROUNDS)]
                )
        report_progress("scaling: the trainer's default")
        with BackgroundWorker(our_steps, SYMBOLS, SMALL, "returns") as worker:
            yield _result(
                "returns, window 16, LSTM(32)",
                [(worker.ask("event"), default.ask("event")) for _ in range(ROUNDS)],
            )
        report_progress("scaling: 2 replicas")
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
