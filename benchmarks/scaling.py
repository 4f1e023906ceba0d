"""How the cost of a step grows: with symbols, window, width and replicas."""

from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.result import Peer, Result
from benchmarks.stepping import DEFAULT, StepTimes, best_of, ours
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

SMALL: Final = Architecture((32,), 16, 11)  # what the trainer makes by default


def growth_rows(tell: Callable[[str], None]) -> Iterator[Result]:
    """Yield the cost of an event by what it depends on, beside the default one measured in turn."""
    with BackgroundWorker(ours, SYMBOLS) as default:
        for name, symbols, architecture in CASES:
            tell(f"growth: {name}")
            with BackgroundWorker(ours, symbols, architecture) as worker:
                yield _row(
                    name, [(worker.ask("event"), default.ask("event")) for _ in range(ROUNDS)]
                )
        tell("growth: the trainer's default")
        with BackgroundWorker(ours, SYMBOLS, SMALL, "returns") as worker:
            yield _row(
                "returns, window 16, LSTM(32)",
                [(worker.ask("event"), default.ask("event")) for _ in range(ROUNDS)],
            )
        tell("growth: 2 replicas")
        with BackgroundWorker(ours, SYMBOLS) as second:
            yield _row("2 replicas", [_together(default, second) for _ in range(ROUNDS)])


def _together(first: BackgroundWorker, second: BackgroundWorker) -> tuple[StepTimes, StepTimes]:
    alone = first.ask("event")
    for worker in (first, second):
        worker.begin("event")
    one, other = first.answer(), second.answer()
    return StepTimes(max(one.best, other.best) / 2, max(one.processor, other.processor)), alone


def _row(name: str, pairs: list[tuple[StepTimes, StepTimes]]) -> Result:
    case, default = best_of([pair[0] for pair in pairs]), best_of([pair[1] for pair in pairs])
    note = f"full step and prediction; {case.processor:.3f} ms of processor time"
    return Result(
        f"cost of an event, {name}",
        case.best,
        "ms",
        peer=Peer("default, one process", default.best),
        note=note,
    )
