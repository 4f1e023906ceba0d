"""Run episodes of faults and report what happened."""

import heapq
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from shared.core.errors import Unavailable
from tests.chaos.audit import ChaosFindings, RedisSnapshot, audit, read_redis
from tests.chaos.faults import ACTIONS, KINDS, repair, restore_usual_replicas
from tests.chaos.plan import Episode
from tests.chaos.system import SystemUnderFaults
from tests.chaos.watched_deployment import Stuck

RECOVERY_S = 120.0
TWO_AT_ONCE = "two at once"


@dataclass(slots=True)
class SilenceTimes:
    """How long predictions stayed away because of one kind of fault."""

    count: int = 0
    longest_silence_s: float = 0.0
    over_bound_s: float = float("-inf")  # the largest silence minus its bound


@dataclass(slots=True)
class ChaosReport:
    """The result of a run."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    times: dict[str, SilenceTimes] = field(default_factory=dict)
    stuck: int = 0
    exits: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    # Silences above their bounds; a busy machine can cause them.
    late: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    findings: ChaosFindings = field(default_factory=ChaosFindings)
    seconds: float = 0.0

    @property
    def is_right(self) -> bool:
        return not (self.wrong or self.late or self.findings.wrong or self.stuck)

    def as_json(self) -> dict[str, Any]:
        return {
            "is_right": self.is_right,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "faults": dict(self.faults),
            "times": {kind: asdict(times) for kind, times in self.times.items()},
            "stuck": self.stuck,
            "ended_by_themselves": dict(self.exits),
            "rounds_tried_again": self.retried,
            "late": self.late,
            "wrong": self.wrong,
            "findings": asdict(self.findings),
        }


def run_episodes(
    system: SystemUnderFaults,
    seed: int,
    episodes: Iterable[Episode],
    report_progress: Callable[[str, ChaosReport], None],
) -> ChaosReport:
    """Run the episodes, then audit the topics and Redis."""
    report, snapshots = ChaosReport(seed), list[RedisSnapshot]()
    started = time.monotonic()
    try:
        system.await_recovered(RECOVERY_S)
        for episode in episodes:
            report_progress(
                " + ".join(
                    f"{fault.kind} ({fault.length_s:g} s, replica {fault.slot})"
                    for fault in episode
                ),
                report,
            )
            _run_episode(system, episode, report)
            with suppress(Unavailable):
                snapshots += read_redis(system.deployment)
        report_progress("waiting for the last candles", report)
        system.publisher.stop()
        system.await_all(RECOVERY_S)
        _drive(system, [(0.0, stop_all_replicas(system))])
        snapshots += read_redis(system.deployment)
    except Stuck as error:
        report.stuck += 1
        report.wrong.append(str(error))
        system.kafka.send(signal.SIGQUIT)  # writes a thread dump to its log
        system.publisher.stop()
    report_progress("auditing", report)
    report.findings = audit(system, snapshots)
    report.exits, report.retried = system.exits, system.publisher.retried
    report.seconds = time.monotonic() - started
    return report


def stop_all_replicas(system: SystemUnderFaults) -> Iterator[float]:
    """Stop every replica by SIGTERM."""
    for slot in system.running:
        yield from system.stop(slot)


def _run_episode(system: SystemUnderFaults, episode: Episode, report: ChaosReport) -> None:
    began = time.monotonic()
    report.faults.update(fault.kind for fault in episode)
    _drive(
        system, [(began + fault.after_s, ACTIONS[fault.kind](system, fault)) for fault in episode]
    )
    repair(system)
    _drive(system, [(0.0, restore_usual_replicas(system))])
    system.await_recovered(RECOVERY_S)
    silence_s = system.consumer.longest_silence_s(began, time.monotonic())
    _note(report, episode, silence_s)


def _drive(system: SystemUnderFaults, actions: Iterable[tuple[float, Iterator[float]]]) -> None:
    """Run actions concurrently, each from its start time (monotonic s) on."""
    steps = [(due, number, action) for number, (due, action) in enumerate(actions)]
    while steps:
        due, number, action = heapq.heappop(steps)
        system.wait_until(due)
        for wait_s in action:
            heapq.heappush(steps, (time.monotonic() + wait_s, number, action))
            break


def _note(report: ChaosReport, episode: Episode, silence_s: float) -> None:
    name = episode[0].kind if len(episode) == 1 else TWO_AT_ONCE
    bound_s = sum(KINDS[fault.kind].bound_s + fault.length_s for fault in episode)
    times = report.times.setdefault(name, SilenceTimes())
    times.count += 1
    times.longest_silence_s = max(times.longest_silence_s, silence_s)
    times.over_bound_s = max(times.over_bound_s, silence_s - bound_s)
    if silence_s > bound_s:
        report.late.append(
            f"{episode}: predictions stayed away for {silence_s:.1f} s, bound {bound_s:.1f} s"
        )
