"""Run jobs in worker processes; cancel them when the consumer stops."""

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Final, TypeVar

T = TypeVar("T")

_POLL_S: Final = 0.2
_JOBS_AHEAD: Final = 4  # of each process: those that run or are next
# In a worker process: the counter of the work done by all workers, and the event that stops them.
_shared: list[Any] = []


def run_in_workers(
    processes: int, jobs: Iterable[Callable[[], T]], on_progress: Callable[[int], None]
) -> Generator[T, None, None]:
    """Yield the results of jobs in the order of the jobs, which is also the order they start in.

    Closing the generator cancels the jobs that still run.

    Args:
        processes: the number of jobs that run at a time, each in a process.
        jobs: are pickled; each reports its progress by `report_progress`.
        on_progress: takes the work done by all jobs so far, several times a second.

    Raises:
        Exception: that of the first job to fail.
    """
    # 1. Spawn, not fork: the parent has threads (Kafka's client), and a lock that one of them
    #    holds while the process forks stays locked in the child for good.
    context = get_context("spawn")
    done, stop = context.Value("q", 0), context.Event()
    most = _JOBS_AHEAD * processes
    with ProcessPoolExecutor(processes, context, _initialise, (done, stop)) as pool:
        try:
            waiting, running = iter(jobs), deque[Future[T]]()
            # 2. A job waits with its arguments in memory, so that few of many are taken at a time.
            while _submit(pool, waiting, running, most):
                # 3. Look at all jobs, not only at the next one: a failure ends the run at once,
                #    however long the jobs before it still take.
                _raise_failure(running)
                if wait([running[0]], _POLL_S).done:
                    yield running.popleft().result()
                on_progress(done.value)
        finally:
            # 4. Reached on success, on a failure and when the consumer closes the generator:
            #    running jobs see the event when they next report progress, the others never start.
            stop.set()
            pool.shutdown(cancel_futures=True)


def _submit(
    pool: ProcessPoolExecutor,
    waiting: Iterator[Callable[[], T]],
    running: deque[Future[T]],
    most: int,
) -> bool:
    """Submit jobs until so many are not done; say whether there is any left."""
    unfinished = sum(not future.done() for future in running)
    running.extend(pool.submit(job) for job in islice(waiting, most - unfinished))
    return bool(running)


def report_progress(count: int) -> None:
    """Add to the work done; called in a worker.

    Raises:
        KeyboardInterrupt: the consumer has stopped.
    """
    done, stop = _shared
    if stop.is_set():
        raise KeyboardInterrupt
    with done.get_lock():
        done.value += count


def _raise_failure(running: Iterable[Future[T]]) -> None:
    for future in running:
        if future.done() and future.exception() is not None:
            future.result()


def _initialise(done: Any, stop: Any) -> None:
    """Prepare a worker process."""
    _shared.extend((done, stop))
    # 1. A terminal sends Ctrl-C to all processes; the parent decides when the workers stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # 2. A parent that is killed can neither set the event nor end the pool, whose workers would
    #    wait for their next job for ever: each of them watches the parent itself.
    Thread(target=_exit_with_parent, name="parent", daemon=True).start()


def _exit_with_parent() -> None:
    """End the worker when its parent has died."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        # 3. Not sys.exit: in a thread it ends the thread alone, and the job would run on.
        os._exit(1)
