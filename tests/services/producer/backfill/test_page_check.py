"""Which pages are believed."""

import pytest

from services.producer.backfill.checked_page import CheckedPage
from services.producer.backfill.page_check import check_page
from services.producer.backfill.sequencer import (
    KlineOrigin,
    ReceivedCandle,
    ReceivedKline,
    UnreadableKline,
)
from services.producer.events import RestFailure, RestResponse

STEP_MS = 300_000
SYMBOL = "BTCUSDT"
FROM = 10  # the candle number requested


def candle(at: int, close: float = 1.0) -> ReceivedCandle:
    return ReceivedCandle(SYMBOL, at * STEP_MS, close, f"{close}".encode(), "rest", 0)


def unreadable(open_ms: int | None) -> UnreadableKline:
    return UnreadableKline(SYMBOL, open_ms, "bad_field", "nonsense", KlineOrigin(b"x", "rest", 0))


def checked(
    *rows: ReceivedKline, until: int | None = None, has_more: bool = False
) -> CheckedPage | RestFailure:
    until_ms = None if until is None else until * STEP_MS
    response = RestResponse(
        SYMBOL, FROM * STEP_MS, list(rows), has_more, 99 * STEP_MS, until_ms=until_ms
    )
    return check_page(response, STEP_MS)


def page(*rows: ReceivedKline, until: int | None = None, has_more: bool = False) -> CheckedPage:
    found = checked(*rows, until=until, has_more=has_more)
    assert isinstance(found, CheckedPage), found
    return found


def numbers(found: CheckedPage) -> list[int]:
    return [each.open_time_ms // STEP_MS for each in found.candles]


@pytest.mark.parametrize("order", [(9, 10, 11, 12), (12, 11, 10, 9), (10, 9, 12, 11, 10, 9)])
def test_rows_are_read_in_whatever_order_they_come_and_repeated_ones_once(
    order: tuple[int, ...],
) -> None:
    found = page(*map(candle, order))

    assert numbers(found) == [10, 11, 12]
    assert found.before == candle(9)
    assert found.until_ms == 13 * STEP_MS


def test_a_page_with_two_values_for_one_candle_is_not_believed() -> None:
    found = checked(candle(9), candle(10, 1.0), candle(10, 2.0))

    assert isinstance(found, RestFailure)
    assert "different values" in found.reason


@pytest.mark.parametrize("foreign", [8, 0])
def test_a_page_that_ignores_the_start_requested_is_not_believed(foreign: int) -> None:
    assert isinstance(checked(candle(foreign), candle(9), candle(10)), RestFailure)


def test_a_page_that_ignores_the_end_requested_is_not_believed() -> None:
    assert isinstance(checked(candle(9), candle(10), candle(12), until=12), RestFailure)


def test_rows_of_a_shorter_interval_are_not_believed() -> None:
    minutes = [
        ReceivedCandle(SYMBOL, 9 * STEP_MS + minute * 60_000, 1.0, b"{}", "rest", 0)
        for minute in range(15)
    ]

    assert isinstance(checked(*minutes), RestFailure)


def test_a_page_without_the_candle_before_has_no_anchor() -> None:
    assert page(candle(9), candle(10)).has_anchor
    assert page(unreadable(9 * STEP_MS), candle(10)).has_anchor
    assert page(unreadable(9 * STEP_MS + 14_789), candle(10)).has_anchor
    assert not page(candle(10), candle(11)).has_anchor
    assert not page().has_anchor


def test_a_page_denies_nothing_after_its_last_row_unless_an_end_was_requested() -> None:
    assert page(candle(9)).until_ms == FROM * STEP_MS
    assert page(candle(9), candle(12)).until_ms == 13 * STEP_MS
    assert page(until=15).until_ms == 15 * STEP_MS
    assert page(candle(9), candle(11), until=15, has_more=True).until_ms == 12 * STEP_MS


def test_a_row_without_a_time_is_the_candle_after_the_row_before_it() -> None:
    found = page(candle(9), unreadable(None), candle(11))

    assert list(found.unreadable) == [10 * STEP_MS]


def test_a_row_without_a_time_whose_place_is_taken_does_no_harm() -> None:
    found = page(candle(9), unreadable(None), candle(10))

    assert numbers(found) == [10]
    assert not found.unreadable


def test_rows_off_the_grid_are_no_candles_but_show_how_far_the_exchange_is() -> None:
    found = page(candle(9), *(unreadable(at * STEP_MS + 14_789) for at in (11, 12, 13)))

    assert found.candles == ()
    assert len(found.unreadable) == 3
    assert found.until_ms == 14 * STEP_MS


def test_a_cut_page_is_complete_up_to_its_last_row_in_whatever_order() -> None:
    found = page(candle(11), candle(10), candle(9), has_more=True)

    assert found.has_more
    assert found.complete_until_ms == 12 * STEP_MS


def test_a_page_that_is_ended_early_denies_nothing_from_there_on() -> None:
    ended = page(candle(9), candle(10), unreadable(11 * STEP_MS), candle(14)).cut(11 * STEP_MS)

    assert numbers(ended) == [10]
    assert not ended.unreadable
    assert ended.until_ms == ended.complete_until_ms == 11 * STEP_MS
