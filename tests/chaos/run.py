"""Faults, one episode after another, and what was seen of them."""

import heapq
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from shared.core.errors import Unavailable
from tests.chaos.audit import ChaosVerdict, Look, judged, look_into_redis
from tests.chaos.faults import ACTS, KINDS, back_to_usual, mended
from tests.chaos.plan import Episode
from tests.chaos.system import Stuck, SystemUnderFaults

CALM_S = 120.0
TWO = "two at once"


@dataclass(slots=True)
class Times:
    """How long predictions stayed away, by kind of fault."""

    count: int = 0
    longest_silence_s: float = 0.0
    over_bound_s: float = float(
        "-inf"
    )  # of the one that was nearest to its bound, or over it by most


@dataclass(slots=True)
class ChaosReport:
    """What a run gives."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    times: dict[str, Times] = field(default_factory=dict)
    stuck: int = 0
    exits: Counter[str] = field(default_factory=Counter)
    tried_again: int = 0
    late: list[str] = field(
        default_factory=list
    )  # longer silences than promised, which a busy machine may make
    wrong: list[str] = field(default_factory=list)
    verdict: ChaosVerdict = field(default_factory=ChaosVerdict)
    seconds: float = 0.0

    @property
    def is_right(self) -> bool:
        return not (self.wrong or self.late or self.verdict.wrong or self.stuck)

    def as_json(self) -> dict[str, Any]:
        return {
            "is_right": self.is_right,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "faults": dict(self.faults),
            "times": {kind: asdict(times) for kind, times in self.times.items()},
            "stuck": self.stuck,
            "ended_by_themselves": dict(self.exits),
            "rounds_tried_again": self.tried_again,
            "late": self.late,
            "wrong": self.wrong,
            "verdict": asdict(self.verdict),
        }


def endured(
    system: SystemUnderFaults,
    seed: int,
    episodes: Iterable[Episode],
    tell: Callable[[str, ChaosReport], None],
) -> ChaosReport:
    """Let the episodes happen; then judge."""
    report, looks = ChaosReport(seed), list[Look]()
    started = time.monotonic()
    try:
        system.await_calm(CALM_S)
        for episode in episodes:
            tell(
                " + ".join(
                    f"{fault.kind} ({fault.length_s:g} s, replica {fault.slot})"
                    for fault in episode
                ),
                report,
            )
            _endure(system, episode, report)
            with suppress(Unavailable):
                looks += look_into_redis(system.deployment.settings)
        tell("waiting for the last candles", report)
        system.publisher.stop()
        system.await_all(CALM_S)
        _drive(system, [(0.0, back_to_nothing(system))])
        looks += look_into_redis(system.deployment.settings)
    except Stuck as error:
        report.stuck += 1
        report.wrong.append(str(error))
        system.kafka.send(signal.SIGQUIT)  # its threads go into its log
        system.publisher.stop()
    tell("judging", report)
    report.verdict = judged(system, looks)
    report.exits, report.tried_again = system.exits, system.publisher.again
    report.seconds = time.monotonic() - started
    return report


def back_to_nothing(system: SystemUnderFaults) -> Iterator[float]:
    """In the end every replica stops when told to."""
    for slot in system.running:
        yield from system.stop(slot)


def _endure(system: SystemUnderFaults, episode: Episode, report: ChaosReport) -> None:
    began = time.monotonic()
    report.faults.update(fault.kind for fault in episode)
    _drive(system, [(began + fault.after_s, ACTS[fault.kind](system, fault)) for fault in episode])
    mended(system)
    _drive(system, [(0.0, back_to_usual(system))])
    system.await_calm(CALM_S)
    silence_s = system.consumer.longest_silence_s(began, time.monotonic())
    _note(report, episode, silence_s)


def _drive(system: SystemUnderFaults, acts: Iterable[tuple[float, Iterator[float]]]) -> None:
    """Let acts go on side by side, each when its time has come (monotonic s)."""
    steps = [(due, number, act) for number, (due, act) in enumerate(acts)]
    while steps:
        due, number, act = heapq.heappop(steps)
        system.rest(due)
        for wait_s in act:
            heapq.heappush(steps, (time.monotonic() + wait_s, number, act))
            break


def _note(report: ChaosReport, episode: Episode, silence_s: float) -> None:
    name = episode[0].kind if len(episode) == 1 else TWO
    bound_s = sum(KINDS[fault.kind].bound_s + fault.length_s for fault in episode)
    times = report.times.setdefault(name, Times())
    times.count += 1
    times.longest_silence_s = max(times.longest_silence_s, silence_s)
    times.over_bound_s = max(times.over_bound_s, silence_s - bound_s)
    if silence_s > bound_s:
        report.late.append(
            f"{episode}: predictions stayed away for {silence_s:.1f} s, bound {bound_s:.1f} s"
        )
