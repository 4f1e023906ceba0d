"""Jobs are made when workers need them: each waits with its arguments in memory."""

from collections.abc import Callable, Iterator
from functools import partial
from math import isqrt

from shared.adapters.worker_pool import run_in_workers


def test_few_of_many_jobs_are_taken_before_their_turn() -> None:
    taken: list[int] = []

    def jobs() -> Iterator[Callable[[], int]]:
        for number in range(400):
            taken.append(number)
            yield partial(isqrt, number)

    results = run_in_workers(1, jobs(), lambda _: None)

    assert next(results) == 0
    assert len(taken) <= 4
    assert list(results) == [isqrt(number) for number in range(1, 400)]
