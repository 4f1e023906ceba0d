from itertools import pairwise

from services.producer.backfill_schedule import MAX_BACKOFF_S, BackfillSchedule
from services.producer.sequencer import SymbolCursor

STEP_MS = 300_000
SYMBOL = "BTCUSDT"
CURSOR = SymbolCursor(SYMBOL, 10 * STEP_MS)
CURSORS = {SYMBOL: CURSOR}
OPEN_MS = CURSOR.next_open_time_ms + 1  # the next candle is still open
CLOSED_MS = CURSOR.next_open_time_ms + STEP_MS


def caught_up(grace_s: float = 3.0) -> BackfillSchedule:
    """Return the schedule of one symbol that was requested at 0 s and lacks nothing."""
    schedule = BackfillSchedule([SYMBOL], STEP_MS, grace_s)
    assert schedule.take_due(CURSORS, OPEN_MS, 0.0) == [CURSOR]
    schedule.on_response(SYMBOL, 0.0, advanced=True, has_more=False)
    return schedule


def test_every_symbol_is_requested_at_the_start_and_only_once_at_a_time() -> None:
    schedule = BackfillSchedule([SYMBOL], STEP_MS, 3.0)

    assert schedule.pending_backfills() == [SYMBOL]
    assert schedule.take_due(CURSORS, OPEN_MS, 0.0) == [CURSOR]
    assert schedule.take_due(CURSORS, OPEN_MS, 100.0) == []


def test_a_backfill_is_pending_until_a_response_leaves_nothing_to_request() -> None:
    schedule = BackfillSchedule([SYMBOL], STEP_MS, 3.0)
    schedule.take_due(CURSORS, OPEN_MS, 0.0)
    schedule.on_response(SYMBOL, 0.0, advanced=True, has_more=True)
    assert schedule.pending_backfills() == [SYMBOL]

    assert schedule.take_due(CURSORS, OPEN_MS, 0.0) == [CURSOR]
    schedule.on_response(SYMBOL, 0.0, advanced=True, has_more=False)
    assert schedule.pending_backfills() == []


def test_an_overdue_candle_is_requested_after_the_grace_in_real_time() -> None:
    schedule = caught_up()

    assert schedule.take_due(CURSORS, OPEN_MS, 100.0) == []
    assert schedule.take_due(CURSORS, CLOSED_MS, 101.0) == []
    assert schedule.take_due(CURSORS, CLOSED_MS, 103.9) == []
    assert schedule.take_due(CURSORS, CLOSED_MS, 104.0) == [CURSOR]


def test_a_symbol_whose_stream_is_ahead_does_not_wait_for_the_grace() -> None:
    schedule = caught_up()
    schedule.expedite(SYMBOL)

    assert schedule.take_due(CURSORS, OPEN_MS, 0.1) == [CURSOR]


def test_after_a_reconnect_only_symbols_that_may_have_missed_a_close_are_requested() -> None:
    schedule = caught_up()

    schedule.catch_up(CURSORS, OPEN_MS)
    assert schedule.take_due(CURSORS, OPEN_MS, 0.1) == []
    schedule.catch_up(CURSORS, CLOSED_MS)
    assert schedule.take_due(CURSORS, CLOSED_MS, 0.1) == [CURSOR]


def test_a_halted_symbol_is_requested_ever_more_rarely_but_never_given_up() -> None:
    schedule, requested_at = caught_up(), list[int]()
    for second in range(1000):
        if schedule.take_due(CURSORS, CLOSED_MS, second):
            requested_at.append(second)
            schedule.on_response(SYMBOL, second, advanced=False, has_more=False)

    waits = [b - a for a, b in pairwise(requested_at)]
    assert waits == sorted(waits)
    assert MAX_BACKOFF_S <= waits[-1] <= MAX_BACKOFF_S + 4.0
    assert len(requested_at) > 10
