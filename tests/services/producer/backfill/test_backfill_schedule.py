from itertools import pairwise

from services.producer.backfill.backfill_schedule import (
    MAX_BACKOFF_S,
    MAX_FAILURES,
    MAX_IN_FLIGHT_S,
    MAX_REFUSAL_BACKOFF_S,
    MIN_REFUSAL_BACKOFF_S,
    PROBE_INTERVAL_S,
    BackfillSchedule,
)
from services.producer.backfill.sequencer import SymbolCursor

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


def requested_at(schedule: BackfillSchedule, symbol: str, from_s: float) -> float:
    """Return when a symbol that lacks a candle is requested next."""
    cursors = {symbol: SymbolCursor(symbol, 0)}
    now_s = from_s
    while not schedule.take_due(cursors, CLOSED_MS, now_s):
        now_s += 1.0
    return now_s


def test_a_symbol_that_is_refused_is_requested_after_minutes_and_awaited_by_nobody() -> None:
    schedule = BackfillSchedule([SYMBOL], STEP_MS, 3.0)
    waits_s, now_s = list[float](), 0.0
    for _ in range(6):
        schedule.take_due(CURSORS, CLOSED_MS, now_s)
        schedule.on_refusal(SYMBOL, now_s)
        schedule.expedite(SYMBOL)  # its stream may well go on
        due_s = requested_at(schedule, SYMBOL, now_s)
        waits_s.append(due_s - now_s)
        now_s = due_s

    assert waits_s[0] == MIN_REFUSAL_BACKOFF_S
    assert waits_s[-1] == MAX_REFUSAL_BACKOFF_S
    assert schedule.refused_symbols() == [SYMBOL]
    assert schedule.pending_backfills() == []
    assert schedule.awaited_from_ms(CURSORS, ()) is None
    schedule.on_response(SYMBOL, now_s, advanced=True, has_more=False)
    assert schedule.refused_symbols() == []


def test_a_refused_symbol_is_requested_at_once_when_the_exchange_trades_it() -> None:
    schedule = BackfillSchedule([SYMBOL], STEP_MS, 3.0)
    schedule.take_due(CURSORS, CLOSED_MS, 0.0)
    schedule.on_refusal(SYMBOL, 0.0)

    schedule.on_traded([SYMBOL, "UNKNOWN"])

    assert requested_at(schedule, SYMBOL, 1.0) == 1.0
    assert schedule.refused_symbols() == []


def test_an_exchange_that_refuses_all_symbols_is_asked_again_soon() -> None:
    symbols = [f"S{number}" for number in range(400)]
    cursors = {symbol: SymbolCursor(symbol, 0) for symbol in symbols}
    schedule = BackfillSchedule(symbols, STEP_MS, 3.0)
    schedule.take_due(cursors, CLOSED_MS, 0.0)
    for symbol in symbols:
        schedule.on_refusal(symbol, 0.0)
    assert len(schedule.refused_symbols()) == 3
    [probe] = schedule.take_due(cursors, CLOSED_MS, 600.0)

    schedule.on_answer()
    schedule.on_response(probe.symbol, 600.0, advanced=True, has_more=True)

    assert schedule.refused_symbols() == []
    assert len(schedule.take_due(cursors, CLOSED_MS, 600.0)) == 400


def test_symbols_known_as_refused_say_nothing_of_the_others() -> None:
    symbols = [f"S{number}" for number in range(9)]
    schedule = BackfillSchedule([*symbols, SYMBOL], STEP_MS, 3.0)
    for symbol in symbols:
        schedule.on_refusal(symbol, 0.0)
        schedule.on_response(SYMBOL, 0.0, advanced=True, has_more=False)

    assert not any(schedule.on_refusal(symbol, 30.0) for symbol in symbols)
    assert schedule.refused_symbols() == symbols


def test_a_doubtful_symbol_is_requested_at_the_pace_of_its_doubt_until_it_advances() -> None:
    schedule = caught_up()
    schedule.expedite(SYMBOL)
    assert schedule.take_due(CURSORS, CLOSED_MS, 1.0) == [CURSOR]
    schedule.on_response(SYMBOL, 1.0, advanced=False, has_more=True, doubt_wait_s=12.0)

    schedule.expedite(SYMBOL)
    assert schedule.awaited_from_ms(CURSORS, ()) is None
    assert schedule.take_due(CURSORS, CLOSED_MS, 12.9) == []
    assert schedule.take_due(CURSORS, CLOSED_MS, 13.0) == [CURSOR]

    schedule.on_response(SYMBOL, 13.0, advanced=False, has_more=True, doubt_wait_s=24.0)
    schedule.on_advance(SYMBOL)
    assert schedule.take_due(CURSORS, CLOSED_MS, 13.1) == [CURSOR]


def test_a_request_without_an_answer_is_lost_after_a_while_unless_its_response_is_held() -> None:
    schedule = BackfillSchedule([SYMBOL], STEP_MS, 3.0)
    schedule.take_due(CURSORS, OPEN_MS, 0.0)

    assert schedule.take_lost((), MAX_IN_FLIGHT_S - 1.0) == []
    assert schedule.take_lost({SYMBOL}, MAX_IN_FLIGHT_S) == []
    assert schedule.take_lost((), MAX_IN_FLIGHT_S) == [SYMBOL]


def test_an_exchange_that_fails_is_asked_for_one_symbol_at_a_time_until_it_answers() -> None:
    cursors = {name: SymbolCursor(name, 0) for name in (f"S{n}USDT" for n in range(50))}
    schedule = BackfillSchedule(cursors, STEP_MS, 3.0)
    for cursor in schedule.take_due(cursors, CLOSED_MS, 0.0):
        schedule.on_failure(cursor.symbol, 0.0)

    asked = []
    for second in range(1, 601):
        for cursor in schedule.take_due(cursors, CLOSED_MS, second):
            asked.append(cursor.symbol)
            schedule.on_failure(cursor.symbol, second)
    assert len(asked) <= 600 / PROBE_INTERVAL_S + 1
    assert set(asked) == set(cursors), "one that alone is refused does not hide the others"

    schedule.on_answer()
    assert len(schedule.take_due(cursors, CLOSED_MS, 600.5)) == 50


def test_a_symbol_that_alone_is_refused_does_not_slow_the_others_down() -> None:
    cursors = {name: SymbolCursor(name, 0) for name in ("AAAUSDT", "BBBUSDT")}
    schedule = BackfillSchedule(cursors, STEP_MS, 3.0)
    schedule.take_due(cursors, CLOSED_MS, 0.0)
    schedule.on_response("BBBUSDT", 0.0, advanced=True, has_more=False)
    for _ in range(2 * MAX_FAILURES):
        schedule.on_failure("AAAUSDT", 0.0, has_answered=True)

    schedule.expedite("BBBUSDT")
    assert schedule.take_due(cursors, CLOSED_MS, 0.1) == [cursors["BBBUSDT"]]
