from services.producer.backfill.backfill_schedule import BackfillSchedule
from services.producer.backfill.sequencer import SymbolCursor
from services.producer.finality.settling import SETTLED_MS
from services.producer.rest.first_requests import MANY_SYMBOLS, MAX_WAIT_S

STEP_MS = 300_000
CLOSE_MS = 10 * STEP_MS


def take_first(symbols: int, server_ms: int, *times_s: float) -> list[int]:
    """Return how many symbols are requested at each time of a process that starts at 0 s."""
    cursors = {f"S{number}": SymbolCursor(f"S{number}", 0) for number in range(symbols)}
    schedule = BackfillSchedule(cursors, STEP_MS, 3.0)
    return [
        len(schedule.take_due(cursors, server_ms + int(now_s * 1000), now_s)) for now_s in times_s
    ]


def test_the_first_requests_of_many_symbols_wait_until_the_newest_candle_has_settled() -> None:
    settled_s = SETTLED_MS / 1000

    assert take_first(MANY_SYMBOLS, CLOSE_MS, 0.0, settled_s - 1, settled_s) == [0, 0, MANY_SYMBOLS]
    assert take_first(MANY_SYMBOLS, CLOSE_MS + SETTLED_MS, 0.0) == [MANY_SYMBOLS]


def test_few_symbols_are_requested_at_once() -> None:
    assert take_first(MANY_SYMBOLS - 1, CLOSE_MS, 0.0) == [MANY_SYMBOLS - 1]


def test_the_wait_ends_although_the_exchanges_time_is_unknown() -> None:
    symbols = MANY_SYMBOLS
    cursors = {f"S{number}": SymbolCursor(f"S{number}", 0) for number in range(symbols)}
    schedule = BackfillSchedule(cursors, STEP_MS, 3.0)

    assert schedule.take_due(cursors, 0, 0.0) == []
    assert len(schedule.take_due(cursors, 0, MAX_WAIT_S)) == symbols
