"""Run the jobs of an audit in processes, or here, and show their progress."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from rich.progress import Progress

from shared.adapters.worker_pool import report_progress, run_in_workers

T = TypeVar("T")
OnRecords = Callable[[int], None]
"""Takes the number of records that were read since the last call."""


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs jobs in processes, or here where there is little to do."""

    progress: Progress
    processes: int

    def __call__(
        self, name: str, jobs: Sequence[Callable[[OnRecords], T]], is_long: bool, total: int | None
    ) -> Iterator[T]:
        """Yield the results of jobs, in order.

        Args:
            name: of the task, for the progress.
            jobs: take a function that counts records.
            is_long: whether it takes longer than to start processes.
            total: the number of records, for the progress; None: unknown.
        """
        task = self.progress.add_task(name, total=total)
        processes = min(self.processes, len(jobs))
        if processes < 2 or not is_long:
            advance = partial(self.progress.advance, task)
            yield from (job(advance) for job in jobs)
            return
        calls = [partial(job, report_progress) for job in jobs]
        yield from run_in_workers(
            processes, calls, lambda done: self.progress.update(task, completed=done)
        )
