"""What is appended for a page of REST."""

from collections.abc import Mapping

from services.producer.backfill.checked_page import CheckedPage, missing_spans
from services.producer.backfill.page_sequencer import on_rest_page
from services.producer.backfill.sequencer import (
    KlineOrigin,
    ReceivedCandle,
    SymbolCursor,
    UnreadableKline,
)
from shared.core.records import Gap

STEP_MS = 300_000
SYMBOL = "BTCUSDT"


def candle(at: int) -> ReceivedCandle:
    return ReceivedCandle(SYMBOL, at * STEP_MS, 1.0, b"{}", "rest", 0)


def unreadable(open_ms: int) -> UnreadableKline:
    return UnreadableKline(SYMBOL, open_ms, "bad_field", "nonsense", KlineOrigin(b"x", "rest", 0))


def page(
    from_at: int,
    until: int,
    *numbers: int,
    others: Mapping[int, UnreadableKline] | None = None,
) -> CheckedPage:
    candles = tuple(map(candle, numbers))
    return CheckedPage(SYMBOL, from_at * STEP_MS, until * STEP_MS, candles, others or {})


def gap(from_at: int, until: int) -> Gap:
    return Gap(SYMBOL, from_at * STEP_MS, until * STEP_MS)


def nothing_is_certain(cursor: SymbolCursor, until_ms: int) -> int:
    return cursor.next_open_time_ms


def all_is_certain(cursor: SymbolCursor, until_ms: int) -> int:
    return until_ms


def cursor(at: int, *early: int, is_new: bool = False) -> SymbolCursor:
    return SymbolCursor(SYMBOL, at * STEP_MS, is_new, tuple(map(candle, early)))


def test_candles_after_a_hole_wait_until_it_is_certain() -> None:
    holed = page(5, 9, 5, 7, 8)

    doubtful = on_rest_page(cursor(5), holed, STEP_MS, nothing_is_certain)
    assert list(doubtful.entries) == [candle(5)]
    assert doubtful.cursor == cursor(6)

    certain = on_rest_page(doubtful.cursor, holed, STEP_MS, all_is_certain)
    assert list(certain.entries) == [gap(6, 7), candle(7), candle(8)]
    assert certain.cursor == cursor(9)


def test_a_hole_is_one_gap_when_all_of_it_is_certain() -> None:
    holed = page(5, 10, 5, 9)

    transition = on_rest_page(cursor(5), holed, STEP_MS, lambda *_: 7 * STEP_MS)

    assert list(transition.entries) == [candle(5)], "two of its three candles are in doubt"


def test_what_the_stream_gave_fills_a_hole_of_rest() -> None:
    transition = on_rest_page(cursor(5, 6), page(5, 8, 5, 7), STEP_MS, nothing_is_certain)

    assert list(transition.entries) == [candle(5), candle(6), candle(7)]
    assert missing_spans(cursor(5, 6), page(5, 8, 5, 7), STEP_MS) == []


def test_early_candles_after_the_page_follow_its_last_one() -> None:
    transition = on_rest_page(cursor(5, 7), page(5, 7, 5, 6), STEP_MS, nothing_is_certain)

    assert list(transition.entries) == [candle(5), candle(6), candle(7)]


def test_a_new_symbol_begins_without_a_gap_where_the_exchange_certainly_begins() -> None:
    new = cursor(0, is_new=True)

    doubtful = on_rest_page(new, page(0, 9, 7, 8), STEP_MS, nothing_is_certain)
    assert (doubtful.cursor, doubtful.entries) == (new, ())
    certain = on_rest_page(new, page(0, 9, 7, 8), STEP_MS, all_is_certain)
    assert list(certain.entries) == [candle(7), candle(8)]


def test_a_new_symbol_is_still_new_after_an_empty_span() -> None:
    transition = on_rest_page(cursor(0, is_new=True), page(0, 7), STEP_MS, all_is_certain)

    assert (transition.cursor, transition.entries) == (cursor(7, is_new=True), ())


def test_a_page_requested_from_a_later_time_proves_nothing() -> None:
    transition = on_rest_page(cursor(2), page(5, 6, 5), STEP_MS, all_is_certain)

    assert (transition.cursor, transition.entries) == (cursor(2), ())


def test_a_page_of_an_earlier_time_repeats_nothing() -> None:
    transition = on_rest_page(cursor(5), page(2, 7, 2, 3, 4, 5, 6), STEP_MS, all_is_certain)

    assert list(transition.entries) == [candle(5), candle(6)]
    assert transition.stale == 3


def test_an_unreadable_candle_is_a_dead_letter_and_a_gap_when_it_is_certain() -> None:
    row = unreadable(6 * STEP_MS)
    garbled = page(5, 8, 5, 7, others={6 * STEP_MS: row})

    assert missing_spans(cursor(5), garbled, STEP_MS) == [(6 * STEP_MS, 7 * STEP_MS)]
    transition = on_rest_page(cursor(5), garbled, STEP_MS, all_is_certain)
    assert list(transition.entries) == [candle(5), row, gap(6, 7), candle(7)]


def test_unreadable_candles_at_the_end_are_passed_as_far_as_they_are_certain() -> None:
    rows = {at * STEP_MS: unreadable(at * STEP_MS) for at in (6, 7)}
    garbled = page(5, 8, 5, others=rows)

    transition = on_rest_page(cursor(5), garbled, STEP_MS, lambda *_: 7 * STEP_MS)

    assert list(transition.entries) == [candle(5), rows[6 * STEP_MS], gap(6, 7)]
    assert transition.cursor == cursor(7)


def test_a_run_of_rows_off_the_grid_is_one_dead_letter_with_their_number() -> None:
    rows = {each: unreadable(each) for each in (at * STEP_MS + 14_789 for at in range(400, 646))}

    transition = on_rest_page(
        cursor(4), page(4, 648, 646, 647, others=rows), STEP_MS, all_is_certain
    )

    letter, *others = transition.entries
    assert isinstance(letter, UnreadableKline)
    assert letter.reason == "off_grid"
    assert letter.message.startswith("246 rows")
    assert others == [gap(4, 646), candle(646), candle(647)]


def test_a_run_of_rows_off_the_grid_that_goes_over_two_pages_is_one_dead_letter() -> None:
    rows = {each: unreadable(each) for each in (at * STEP_MS + 14_789 for at in range(5, 9))}
    first = on_rest_page(cursor(4), page(4, 9, others=rows), STEP_MS, all_is_certain)
    assert [type(each) for each in first.entries] == [UnreadableKline, Gap]

    # The second page begins with the last row of the first.
    more = {each: unreadable(each) for each in (at * STEP_MS + 14_789 for at in range(8, 12))}
    second = on_rest_page(first.cursor, page(9, 13, 12, others=more), STEP_MS, all_is_certain)

    assert list(second.entries) == [gap(9, 12), candle(12)]


def test_a_row_off_the_grid_between_two_candles_leaves_no_gap() -> None:
    off_ms = 5 * STEP_MS + 14_789

    transition = on_rest_page(
        cursor(5), page(5, 7, 5, 6, others={off_ms: unreadable(off_ms)}), STEP_MS, all_is_certain
    )

    assert [type(each) for each in transition.entries] == [
        ReceivedCandle,
        UnreadableKline,
        ReceivedCandle,
    ]
