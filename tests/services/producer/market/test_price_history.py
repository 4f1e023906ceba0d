"""Which closes of price-only symbols are requested."""

from collections.abc import Callable

import pytest

from services.producer.market.price_history import MAX_FAILURES, PriceHistory

STEP_MS = 300_000
SYMBOL = "AAAUSDT"


@pytest.fixture
def history() -> PriceHistory:
    return PriceHistory([SYMBOL])


def test_nothing_is_requested_before_it_is_wanted(history: PriceHistory) -> None:
    assert history.take_due(0.0) == []
    assert history.awaited_from_ms() is None


def test_wanted_closes_are_requested_page_by_page_one_request_at_a_time(
    history: PriceHistory,
) -> None:
    history.want(10 * STEP_MS, 29 * STEP_MS)
    assert history.take_due(0.0) == [(SYMBOL, 10 * STEP_MS)]
    assert history.take_due(0.0) == []

    history.on_response(SYMBOL, 10 * STEP_MS, 20 * STEP_MS)
    assert history.awaited_from_ms() == 20 * STEP_MS
    assert history.take_due(0.0) == [(SYMBOL, 20 * STEP_MS)]

    history.on_response(SYMBOL, 20 * STEP_MS, 30 * STEP_MS)
    assert history.awaited_from_ms() is None
    assert history.take_due(0.0) == []


def test_older_closes_than_the_known_ones_are_requested_from_their_beginning(
    history: PriceHistory,
) -> None:
    history.want(20 * STEP_MS, 29 * STEP_MS)
    history.take_due(0.0)
    history.on_response(SYMBOL, 20 * STEP_MS, 30 * STEP_MS)

    history.want(5 * STEP_MS, 9 * STEP_MS)

    assert history.take_due(0.0) == [(SYMBOL, 5 * STEP_MS)]


def test_dropped_closes_are_requested_again_if_they_are_wanted(history: PriceHistory) -> None:
    history.want(20 * STEP_MS, 29 * STEP_MS)
    history.take_due(0.0)
    history.on_response(SYMBOL, 20 * STEP_MS, 30 * STEP_MS)

    history.forget_before(25 * STEP_MS)
    assert history.awaited_from_ms() == 20 * STEP_MS
    history.want_nothing()
    assert history.awaited_from_ms() is None


def fail(history: PriceHistory) -> None:
    history.on_failure(SYMBOL)


def answer_with_nothing(history: PriceHistory) -> None:
    history.on_response(SYMBOL, 10 * STEP_MS, 10 * STEP_MS)


@pytest.mark.parametrize("answer", [fail, answer_with_nothing])
def test_a_symbol_that_gives_nothing_is_waited_for_no_longer(
    history: PriceHistory, answer: Callable[[PriceHistory], None]
) -> None:
    history.want(10 * STEP_MS, 19 * STEP_MS)
    for _ in range(MAX_FAILURES + 1):
        history.take_due(0.0)
        answer(history)

    assert history.awaited_from_ms() is None
    assert history.take_due(0.0) == []
    history.want(20 * STEP_MS, 29 * STEP_MS)
    assert history.take_due(0.0) == [(SYMBOL, 20 * STEP_MS)]


def test_other_symbols_are_not_part_of_it(history: PriceHistory) -> None:
    history.on_response("OTHERUSDT", 0, STEP_MS)
    history.on_failure("OTHERUSDT")
    assert "OTHERUSDT" not in history

    history.set_symbols(["OTHERUSDT"])
    history.want(0, 0)

    assert history.take_due(0.0) == [("OTHERUSDT", 0)]
