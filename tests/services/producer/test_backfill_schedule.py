from itertools import pairwise

from services.producer.backfill_schedule import LONGEST_WAIT_S, BackfillSchedule
from services.producer.sequencer import SymbolCursor

STEP_MS = 300_000
SYMBOL = "BTCUSDT"
PLACE = SymbolCursor(SYMBOL, 10 * STEP_MS)
PLACES = {SYMBOL: PLACE}
OPEN_MS = PLACE.next_ms + 1  # the next candle is still open
CLOSED_MS = PLACE.next_ms + STEP_MS


def caught_up(grace_s: float = 3.0) -> BackfillSchedule:
    """One symbol, asked about at 0 s, that lacks nothing."""
    agenda = BackfillSchedule([SYMBOL], STEP_MS, grace_s)
    assert agenda.due(PLACES, OPEN_MS, 0.0) == [PLACE]
    agenda.on_response(SYMBOL, 0.0, moved=True, full=False)
    return agenda


def test_every_symbol_is_asked_about_at_the_start_and_only_once_at_a_time() -> None:
    agenda = BackfillSchedule([SYMBOL], STEP_MS, 3.0)

    assert agenda.behind() == [SYMBOL]
    assert agenda.due(PLACES, OPEN_MS, 0.0) == [PLACE]
    assert agenda.due(PLACES, OPEN_MS, 100.0) == []


def test_a_symbol_is_behind_until_an_answer_leaves_nothing_to_ask_for() -> None:
    agenda = BackfillSchedule([SYMBOL], STEP_MS, 3.0)
    agenda.due(PLACES, OPEN_MS, 0.0)
    agenda.on_response(SYMBOL, 0.0, moved=True, full=True)
    assert agenda.behind() == [SYMBOL]

    assert agenda.due(PLACES, OPEN_MS, 0.0) == [PLACE]
    agenda.on_response(SYMBOL, 0.0, moved=True, full=False)
    assert agenda.behind() == []


def test_a_candle_that_should_have_closed_is_asked_for_after_the_grace_in_real_time() -> None:
    agenda = caught_up()

    assert agenda.due(PLACES, OPEN_MS, 100.0) == []
    assert agenda.due(PLACES, CLOSED_MS, 101.0) == []
    assert agenda.due(PLACES, CLOSED_MS, 103.9) == []
    assert agenda.due(PLACES, CLOSED_MS, 104.0) == [PLACE]


def test_a_stream_that_is_ahead_does_not_wait_for_the_grace() -> None:
    agenda = caught_up()
    agenda.expedite(SYMBOL)

    assert agenda.due(PLACES, OPEN_MS, 0.1) == [PLACE]


def test_after_a_reconnect_only_symbols_that_may_have_missed_a_close_are_asked_about() -> None:
    agenda = caught_up()

    agenda.catch_up(PLACES, OPEN_MS)
    assert agenda.due(PLACES, OPEN_MS, 0.1) == []
    agenda.catch_up(PLACES, CLOSED_MS)
    assert agenda.due(PLACES, CLOSED_MS, 0.1) == [PLACE]


def test_a_halted_symbol_is_asked_about_ever_more_rarely_but_never_given_up() -> None:
    agenda, asked = caught_up(), list[int]()
    for second in range(1000):
        if agenda.due(PLACES, CLOSED_MS, second):
            asked.append(second)
            agenda.on_response(SYMBOL, second, moved=False, full=False)

    waits = [b - a for a, b in pairwise(asked)]
    assert waits == sorted(waits)
    assert LONGEST_WAIT_S <= waits[-1] <= LONGEST_WAIT_S + 4.0
    assert len(asked) > 10
