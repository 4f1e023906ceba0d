"""Work in processes of its own, side by side: over as soon as whoever waits for it is."""

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Final, TypeVar

T = TypeVar("T")

_LOOK_S: Final = 0.2
_shared: list[Any] = []  # in such a process: how much all of them have done, and whether to stop


def run_in_workers(
    processes: int, calls: Iterable[Callable[[], T]], progress: Callable[[int], None]
) -> Generator[T, None, None]:
    """Yield what calls return, in the calls' order; they begin in that order too. Closed, it ends what still runs.

    Args:
        processes: how many calls run at a time, each in a process of its own.
        calls: pickled on their way there; each tells by `report_progress` how far it is.
        progress: told several times a second how much all calls have done so far.

    Raises:
        Exception: what the first call to fail has raised.
    """
    context = get_context("spawn")
    done, stop = context.Value("q", 0), context.Event()
    with ProcessPoolExecutor(processes, context, _share, (done, stop)) as pool:
        try:
            running = deque(pool.submit(call) for call in calls)
            while running:
                _raise_failure(running)
                if wait([running[0]], _LOOK_S).done:
                    yield running.popleft().result()
                progress(done.value)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def report_progress(count: int) -> None:
    """Say, from within a call, how much it has done since it last said so.

    Raises:
        KeyboardInterrupt: nobody waits for it any more.
    """
    done, stop = _shared
    if stop.is_set():
        raise KeyboardInterrupt
    with done.get_lock():
        done.value += count


def _raise_failure(running: Iterable[Future[T]]) -> None:
    for one in running:
        if one.done() and one.exception() is not None:
            one.result()


def _share(done: Any, stop: Any) -> None:
    """Keep what all processes share, which a process is given when it starts; end when their parent does."""
    _shared.extend((done, stop))
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal tells all processes; the parent says when to stop
    Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # killed, it could not tell; the pool's own loop would wait for ever
