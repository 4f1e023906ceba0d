import threading
from itertools import count

import pytest

from shared.adapters.retry import (
    Backoff,
    RefusalBackoff,
    StopRequested,
    retry_until_available,
    wait_until,
)
from shared.core.errors import Incompatible, Unavailable


def test_a_wait_ends_as_soon_as_the_condition_is_true() -> None:
    calls = count(1)

    assert wait_until(lambda: next(calls) == 3, timeout_s=60, interval_s=0)
    assert next(calls) == 4


def test_a_wait_without_time_looks_once_and_says_no() -> None:
    calls = count(1)

    assert not wait_until(lambda: next(calls) > 1, timeout_s=0, interval_s=0)
    assert next(calls) == 2


def test_a_condition_that_raises_ends_the_wait() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0, timeout_s=60)


def test_a_server_that_answers_later_is_called_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.adapters.retry.FIRST_WAIT_S", 0.0)
    calls, reasons = count(1), list[str]()

    def call() -> str:
        if (number := next(calls)) < 3:
            message = f"away for the {number}. time"
            raise Unavailable(message)
        return "here"

    assert retry_until_available(threading.Event(), call, reasons.append) == "here"
    assert reasons == ["away for the 1. time", "away for the 2. time"]


def test_a_stop_request_ends_the_calls_at_once() -> None:
    stop = threading.Event()

    def call() -> None:
        stop.set()
        message = "away"
        raise Unavailable(message)

    with pytest.raises(StopRequested):
        retry_until_available(stop, call)


def test_nothing_is_called_after_a_stop_request() -> None:
    stop = threading.Event()
    stop.set()

    with pytest.raises(StopRequested):
        retry_until_available(stop, lambda: pytest.fail("called"))


def test_what_waiting_does_not_mend_is_raised_at_once() -> None:
    def call() -> None:
        message = "another version"
        raise Incompatible(message)

    with pytest.raises(Incompatible):
        retry_until_available(threading.Event(), call)


def test_waits_double_up_to_a_limit_with_jitter() -> None:
    backoff = Backoff()
    waits_s = [backoff.next_s() for _ in range(10)]

    for wait_s, longest_s in zip(waits_s, [0.5, 1, 2, 4, 8, 15, 15, 15, 15, 15], strict=True):
        assert 0.7 * longest_s <= wait_s <= longest_s


def test_a_refusal_is_reported_once_a_minute_and_tried_again_less_and_less_often() -> None:
    backoff, now_s = RefusalBackoff(), 0.0
    reports, tries = 0, 0
    while now_s < 300.0:
        reports += backoff.on_refused("no right to write", now_s)
        now_s += backoff.remaining_s(now_s)
        tries += 1

    assert (tries, reports) == (9, 5)
    backoff.on_accepted()
    assert backoff.remaining_s(now_s) == 0.0
