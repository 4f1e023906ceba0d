"""Run many schedules in several processes."""

import json
import multiprocessing
import site
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from shared.adapters.kafka.group_settings import GroupProtocol
from tests.simulation.log import SCRIPTS
from tests.simulation.replica import GROUP, ReplicaParts
from tests.simulation.schedules import FaultSchedule, draw_schedule, shrink
from tests.simulation.world import RunResult, run, run_seed

ROOT: Final = Path(__file__).parent.parent.parent
BLOCK: Final = 50  # schedules handed to a process at a time


@dataclass
class SoakReport:
    """The results of many schedules, added up."""

    schedules: int = 0
    steps: int = 0
    simulated_s: float = 0.0
    wall_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    problems: dict[int, str] = field(default_factory=dict)  # by seed

    @property
    def stuck(self) -> int:
        return sum(text.startswith("stuck") for text in self.problems.values())

    def add(self, seed: int, result: RunResult) -> None:
        self.schedules += 1
        self.steps += result.steps
        self.simulated_s += result.simulated_s
        self.counts += result.counts
        if result.problem is not None:
            self.problems[seed] = result.problem

    def write(self, path: Path) -> None:
        fields = {**vars(self), "stuck": self.stuck, "wrong": len(self.problems) - self.stuck}
        path.write_text(json.dumps(fields, indent=1, default=dict) + "\n")


def soak(
    seeds: Sequence[int],
    processes: int | None,
    report_progress: Callable[[SoakReport], None],
    protocol: GroupProtocol = "classic",
) -> SoakReport:
    """Run the schedules of the seeds; report progress after each block."""
    report, started = SoakReport(), time.monotonic()
    context = multiprocessing.get_context("spawn")
    # pytest imports tests by path, so a new process has to be told where the package is.
    with ProcessPoolExecutor(processes, context, site.addsitedir, (str(ROOT),)) as pool:
        blocks = [
            pool.submit(_run_block, list(seeds[at : at + BLOCK]), protocol)
            for at in range(0, len(seeds), BLOCK)
        ]
        try:
            for block in as_completed(blocks):
                for seed, result in block.result():
                    report.add(seed, result)
                report.wall_s = time.monotonic() - started
                report_progress(report)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # if report_progress raised
    return report


def _run_block(seeds: list[int], protocol: GroupProtocol) -> list[tuple[int, RunResult]]:
    parts = ReplicaParts(group=replace(GROUP, protocol=protocol))
    return [(seed, run_seed(seed, parts)) for seed in seeds]


def shrink_seed(seed: int) -> tuple[FaultSchedule, str]:
    """Shrink the failing schedule of a seed; return it and its problem."""

    def fails(schedule: FaultSchedule) -> bool:
        return run(schedule).problem is not None

    found = shrink(draw_schedule(seed, SCRIPTS), fails)
    return found, run(found).problem or "nothing"
