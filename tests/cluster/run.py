"""Let faults strike a cluster, one after another; report how long predictions stayed away."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from tests.chaos.audit import ChaosFindings, audit, read_redis
from tests.chaos.watched_deployment import Stuck
from tests.cluster.faults import ClusterFault, restore_replicas
from tests.cluster.system import ClusterUnderFaults

RECOVERY_S: Final = 120.0


@dataclass(slots=True)
class ClusterReport:
    """The result of a run: pauses by fault, and the audit's findings."""

    pauses_s: dict[str, list[float]] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)  # pauses above their bounds
    wrong: list[str] = field(default_factory=list)
    findings: ChaosFindings = field(default_factory=ChaosFindings)

    @property
    def is_right(self) -> bool:
        """Whether every byte is that of a replay, and nothing got stuck."""
        return not (self.wrong or self.findings.wrong)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "is_right": self.is_right}


def run_faults(
    system: ClusterUnderFaults,
    faults: Sequence[ClusterFault],
    report_progress: Callable[[str], None],
) -> ClusterReport:
    """Run the faults, then audit the topics and Redis."""
    report = ClusterReport()
    try:
        system.await_recovered(RECOVERY_S)
        for fault in faults:
            report_progress(fault.name)
            _note(report, fault, _run_fault(system, fault))
        system.publisher.stop()
        system.await_all(RECOVERY_S)
        for slot in system.running:
            _drive(system, system.stop(slot))
    except Stuck as error:
        report.wrong.append(str(error))
        system.publisher.stop()
    report_progress("comparing with a replay")
    report.findings = audit(system, read_redis(system.deployment))
    report.wrong += [f"a replica ended by itself: {line}" for line in system.exits]
    return report


def _run_fault(system: ClusterUnderFaults, fault: ClusterFault) -> float:
    """Return the longest pause of a partition's predictions, in seconds."""
    began_s = time.monotonic()
    _drive(system, fault.action(system))
    system.await_recovered(RECOVERY_S)
    pause_s = system.consumer.longest_silence_s(began_s, time.monotonic())
    _drive(system, restore_replicas(system))
    system.await_recovered(RECOVERY_S)
    return pause_s


def _drive(system: ClusterUnderFaults, action: Iterator[float]) -> None:
    for wait_s in action:
        system.wait_until(time.monotonic() + wait_s)


def _note(report: ClusterReport, fault: ClusterFault, pause_s: float) -> None:
    report.pauses_s.setdefault(fault.name, []).append(round(pause_s, 2))
    if pause_s > fault.bound_s:
        report.late.append(f"{fault.name}: {pause_s:.1f} s, bound {fault.bound_s:g} s")
