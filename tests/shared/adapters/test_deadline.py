import threading

import pytest

from shared.adapters.retry import call_with_deadline


def test_a_call_that_returns_in_time_has_been_made() -> None:
    called = threading.Event()

    call_with_deadline(called.set, 60)

    assert called.is_set()


def test_the_error_of_a_call_is_raised_to_its_caller() -> None:
    def fail() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        call_with_deadline(fail, 60)


def test_a_call_that_does_not_return_is_left_behind_at_the_deadline() -> None:
    released, ended = threading.Event(), threading.Event()

    def hang() -> None:
        released.wait(60)
        ended.set()

    with pytest.raises(TimeoutError):
        call_with_deadline(hang, 0.05)

    released.set()
    assert ended.wait(60)
