"""How long a REST response waits for the market's move of its candles."""

import pytest

from services.producer.backfill.checked_page import CheckedPage
from services.producer.backfill.sequencer import ReceivedCandle
from services.producer.market.held_responses import MAX_HOLD_S, MAX_ROWS_AT_ONCE, HeldResponses

STEP_MS = 300_000


def response(symbol: str, first: int, last: int) -> CheckedPage:
    candles = tuple(
        ReceivedCandle(symbol, at * STEP_MS, 1.0, b"{}", "rest", 0) for at in range(first, last + 1)
    )
    return CheckedPage(symbol, first * STEP_MS, (last + 1) * STEP_MS, candles)


def symbols(released: list[CheckedPage]) -> list[str]:
    return [each.symbol for each in released]


@pytest.fixture
def recorded() -> set[int]:
    """Return the candle numbers of which the log has a move."""
    return set()


@pytest.fixture
def held(recorded: set[int]) -> HeldResponses:
    return HeldResponses(lambda open_ms: open_ms // STEP_MS in recorded)


def test_a_response_waits_while_a_request_may_give_closes_of_its_candles(
    held: HeldResponses,
) -> None:
    held.add(response("AAAUSDT", 5, 9), 0.0)

    assert held.release(9 * STEP_MS, 1.0) == []
    assert symbols(held.release(10 * STEP_MS, 1.0)) == ["AAAUSDT"]
    assert held.symbols == frozenset()


def test_without_any_request_left_all_are_released_the_oldest_candles_first(
    held: HeldResponses,
) -> None:
    for symbol, first in (("BBBUSDT", 7), ("AAAUSDT", 9), ("CCCUSDT", 5)):
        held.add(response(symbol, first, 9), 0.0)
    assert held.oldest_span_ms() == (5 * STEP_MS, 9 * STEP_MS)

    assert symbols(held.release(None, 1.0)) == ["CCCUSDT", "BBBUSDT", "AAAUSDT"]
    assert held.oldest_span_ms() is None


def test_what_other_candles_have_at_both_ends_is_not_waited_for(
    held: HeldResponses, recorded: set[int]
) -> None:
    held.add(response("AAAUSDT", 5, 9), 0.0)
    recorded.add(9)
    assert held.release(0, 1.0) == []

    recorded.add(5)

    assert symbols(held.release(0, 1.0)) == ["AAAUSDT"]


def test_the_wait_has_an_end(held: HeldResponses) -> None:
    held.add(response("AAAUSDT", 5, 9), 1.0)

    assert held.release(0, MAX_HOLD_S) == []
    assert symbols(held.release(0, 1.0 + MAX_HOLD_S)) == ["AAAUSDT"]


def test_a_bounded_number_of_rows_is_released_at_once(held: HeldResponses) -> None:
    for number in range(9):
        held.add(response(f"S{number}USDT", 0, 999), 0.0)

    rounds = [len(held.release(None, 1.0)) * 1_000 for _ in range(3)]

    assert rounds == [MAX_ROWS_AT_ONCE, MAX_ROWS_AT_ONCE, 1_000]
