from dataclasses import replace

from services.producer.backfill.sequencer import (
    MAX_EARLY_CANDLES,
    ReceivedCandle,
    SymbolCursor,
    on_stream_kline,
)

STEP_MS = 300_000
SYMBOL = "BTCUSDT"


def kline(at: int) -> ReceivedCandle:
    return ReceivedCandle(SYMBOL, at * STEP_MS, 1.0, b"{}", "stream", 0)


def test_what_the_log_has_already_is_dropped_and_counted() -> None:
    transition = on_stream_kline(SymbolCursor(SYMBOL, 5 * STEP_MS), kline(4), STEP_MS)

    assert transition.entries == ()
    assert transition.stale == 1


def test_the_stream_alone_never_makes_a_gap() -> None:
    transition = on_stream_kline(SymbolCursor(SYMBOL, 5 * STEP_MS), kline(9), STEP_MS)

    assert transition.entries == ()
    assert [k.open_time_ms for k in transition.cursor.early] == [9 * STEP_MS]


def test_early_candles_follow_the_missing_one_and_the_newest_of_too_many_are_dropped() -> None:
    cursor = SymbolCursor(SYMBOL, 0)
    for at in range(1, MAX_EARLY_CANDLES + 9):
        cursor = on_stream_kline(cursor, kline(at), STEP_MS).cursor

    transition = on_stream_kline(cursor, kline(0), STEP_MS)

    # The missing one takes a place of its own among them.
    assert list(transition.entries) == [kline(at) for at in range(MAX_EARLY_CANDLES)]
    assert transition.cursor == SymbolCursor(SYMBOL, MAX_EARLY_CANDLES * STEP_MS)


def test_of_two_early_klines_for_one_candle_the_newer_one_counts() -> None:
    provisional, final = kline(1), replace(kline(1), close=2.0)
    cursor = on_stream_kline(SymbolCursor(SYMBOL, 0), provisional, STEP_MS).cursor

    cursor = on_stream_kline(cursor, final, STEP_MS).cursor

    assert list(on_stream_kline(cursor, kline(0), STEP_MS).entries) == [kline(0), final]
