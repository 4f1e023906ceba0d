"""Many schedules in several processes, and what came of them."""

import json
import multiprocessing
import site
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.simulation.log import SCRIPTS
from tests.simulation.schedules import FaultSchedule, drawn, shrunk
from tests.simulation.world import RunVerdict, run, run_seed

ROOT: Final = Path(__file__).parent.parent.parent
BLOCK: Final = 50  # schedules handed to a process at a time


@dataclass
class SoakReport:
    """What many schedules came to."""

    schedules: int = 0
    turns: int = 0
    simulated_s: float = 0.0
    wall_s: float = 0.0
    happened: Counter[str] = field(default_factory=Counter)
    problems: dict[int, str] = field(default_factory=dict)  # by seed

    @property
    def stuck(self) -> int:
        return sum(text.startswith("stuck") for text in self.problems.values())

    def add(self, seed: int, verdict: RunVerdict) -> None:
        self.schedules += 1
        self.turns += verdict.turns
        self.simulated_s += verdict.simulated_s
        self.happened += verdict.happened
        if verdict.problem is not None:
            self.problems[seed] = verdict.problem

    def write(self, path: Path) -> None:
        fields = {**vars(self), "stuck": self.stuck, "wrong": len(self.problems) - self.stuck}
        path.write_text(json.dumps(fields, indent=1, default=dict) + "\n")


def soak(
    seeds: Sequence[int], processes: int | None, told: Callable[[SoakReport], None]
) -> SoakReport:
    """Run the schedules of the seeds; tell of each block that is done."""
    report, started = SoakReport(), time.monotonic()
    context = multiprocessing.get_context("spawn")
    # pytest imports tests by their files: a process of its own must be told where the package lies.
    with ProcessPoolExecutor(processes, context, site.addsitedir, (str(ROOT),)) as pool:
        blocks = [
            pool.submit(_run_block, list(seeds[at : at + BLOCK]))
            for at in range(0, len(seeds), BLOCK)
        ]
        try:
            for block in as_completed(blocks):
                for seed, verdict in block.result():
                    report.add(seed, verdict)
                report.wall_s = time.monotonic() - started
                told(report)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # the rest, if this ends early
    return report


def _run_block(seeds: list[int]) -> list[tuple[int, RunVerdict]]:
    return [(seed, run_seed(seed)) for seed in seeds]


def smallest(seed: int) -> tuple[FaultSchedule, str]:
    """Return the smallest schedule found that fails like a seed's, and what it comes to."""

    def fails(schedule: FaultSchedule) -> bool:
        return run(schedule).problem is not None

    found = shrunk(drawn(seed, SCRIPTS), fails)
    return found, run(found).problem or "nothing"
