"""Attempts, whatever becomes of the connections."""

from hypothesis import given
from hypothesis import strategies as st

from services.producer.streams.attempts import (
    FIRST_WAIT_S,
    HEALTHY_AFTER_S,
    LONGEST_WAIT_S,
    MAX_ATTEMPTS,
    WINDOW_S,
    AttemptBudget,
    ConnectionBackoff,
)

lives_s = st.floats(0, 2 * HEALTHY_AFTER_S)


@given(st.lists(st.lists(lives_s, min_size=30, max_size=80), min_size=1, max_size=8))
def test_in_any_window_there_are_no_more_attempts_than_the_budget(
    lives: list[list[float]],
) -> None:
    budget, attempts = AttemptBudget(), list[float]()
    backoffs = [ConnectionBackoff() for _ in lives]
    up: list[tuple[float, float] | None] = [None for _ in lives]  # from, until
    for tick in range(12_000):
        now_s = tick / 10
        for number, backoff in enumerate(backoffs):
            connection = up[number]
            if connection is not None and now_s >= connection[1]:
                backoff.on_end(now_s, now_s - connection[0])
                up[number] = None
            elif connection is None and now_s >= backoff.not_before_s and lives[number]:
                if not budget.take(now_s):
                    continue
                attempts.append(now_s)
                up[number] = (now_s, now_s + lives[number].pop())
    for first, later in zip(attempts, attempts[MAX_ATTEMPTS:], strict=False):
        assert later - first >= WINDOW_S


def test_a_connection_that_ends_soon_waits_twice_as_long_each_time() -> None:
    backoff = ConnectionBackoff()

    waits_s = [backoff.on_end(0.0, 5.0) for _ in range(8)]

    assert waits_s[:5] == [FIRST_WAIT_S, 1.0, 2.0, 4.0, 8.0]
    assert waits_s[-1] == LONGEST_WAIT_S


def test_after_a_minute_of_data_the_next_connection_is_attempted_soon_again() -> None:
    backoff = ConnectionBackoff()
    for _ in range(8):
        backoff.on_end(0.0, 5.0)

    assert backoff.on_end(100.0, HEALTHY_AFTER_S) == FIRST_WAIT_S


def test_what_the_exchange_says_holds_back_every_socket() -> None:
    budget = AttemptBudget()
    budget.pause(0.0, 120.0)

    assert not budget.take(119.0)
    assert budget.take(120.0)
    assert budget.attempts == 1
