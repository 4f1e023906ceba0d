import threading
import time

import pytest

from services.producer.ports import Throttled
from services.producer.rest.requests import Priority
from services.producer.rest.weight_budget import LIMITS, MAX_BAN_S, PATIENCE_S, WeightBudget
from shared.core.errors import Unavailable


class RememberedBans:
    def __init__(self, until_ms: int | None = None) -> None:
        self.until_ms, self.saved, self.is_away = until_ms, 0, False

    def load(self) -> int | None:
        return self.until_ms

    def save(self, until_ms: int) -> None:
        if self.is_away:
            raise Unavailable("Kafka does not answer")
        self.until_ms, self.saved = until_ms, self.saved + 1


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def budget() -> WeightBudget:
    return WeightBudget(0.6, threading.Event())


def test_a_ban_is_waited_out_by_the_next_process_too(budget: WeightBudget) -> None:
    bans = RememberedBans()
    budget.keep_bans(bans)
    budget.ban(600.0)
    budget.ban(600.0)

    after_restart = WeightBudget(0.6, threading.Event())
    after_restart.keep_bans(bans)

    assert bans.saved == 1
    assert after_restart.reserve(2, Priority.LIVE) == pytest.approx(600.0, abs=5.0)
    with pytest.raises(Throttled) as caught:
        after_restart.acquire(2)
    assert caught.value.retry_after_s == pytest.approx(600.0, abs=5.0)


@pytest.mark.parametrize("until_ms", [None, 0, now_ms() - 1], ids=["none", "zero", "just over"])
def test_a_ban_that_is_over_holds_up_nothing(budget: WeightBudget, until_ms: int | None) -> None:
    budget.keep_bans(RememberedBans(until_ms))

    assert budget.reserve(2, Priority.LIVE) == 0.0


def test_a_stored_ban_is_no_longer_than_the_longest_there_is(budget: WeightBudget) -> None:
    budget.keep_bans(RememberedBans(until_ms=10**15))

    assert budget.reserve(2, Priority.LIVE) == pytest.approx(MAX_BAN_S, abs=5.0)


def test_a_short_ban_is_not_stored_and_a_longer_one_replaces_it(budget: WeightBudget) -> None:
    bans = RememberedBans()
    budget.keep_bans(bans)

    budget.ban(5.0)
    assert bans.saved == 0
    budget.ban(60.0)
    assert bans.saved == 1
    assert bans.until_ms is not None
    assert bans.until_ms - now_ms() == pytest.approx(60_000, abs=5_000)


def test_a_ban_holds_although_it_cannot_be_stored(budget: WeightBudget) -> None:
    bans = RememberedBans()
    bans.is_away = True
    budget.keep_bans(bans)

    budget.ban(60.0)

    assert budget.reserve(2, Priority.LIVE) > 50.0


def test_a_stop_ends_the_wait() -> None:
    stop = threading.Event()
    budget = WeightBudget(0.6, stop)
    budget.ban(PATIENCE_S / 2)
    stop.set()

    with pytest.raises(Unavailable, match="stopping"):
        budget.acquire(2)


@pytest.mark.parametrize("limit", [None, -6000, 0, 1, 10**9])
def test_a_limit_that_cannot_be_right_is_ignored(budget: WeightBudget, limit: int | None) -> None:
    budget.set_limit(limit)

    assert budget.reserve(3_600, Priority.LIVE) == 0.0
    assert budget.reserve(2, Priority.LIVE) > 0.0


def test_the_exchanges_limit_is_taken(budget: WeightBudget) -> None:
    budget.set_limit(LIMITS[0])

    assert budget.reserve(60, Priority.LIVE) == 0.0
    assert budget.reserve(2, Priority.LIVE) > 0.0
