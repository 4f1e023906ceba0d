from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.producer.sequencer import (
    ASKS_FOR_UNREADABLE,
    LogEntry,
    ReceivedCandle,
    SymbolCursor,
    Transition,
    UnreadableKline,
    on_rest_klines,
    on_stream_kline,
)
from shared.core.records import Gap

STEP_MS = 300_000
SYMBOL = "BTCUSDT"


def kline(at: int, source: str = "rest") -> ReceivedCandle:
    return ReceivedCandle(SYMBOL, at * STEP_MS, b"{}", "rest" if source == "rest" else "stream", 0)


def unreadable(at: int) -> UnreadableKline:
    return UnreadableKline(SYMBOL, at * STEP_MS, b"nonsense", "bad_field", "nonsense", "rest", 0)


def covered(entries: Sequence[LogEntry]) -> list[tuple[str, int, int]]:
    """(kind, from, until) in candle numbers."""
    spans = []
    for entry in entries:
        if isinstance(entry, Gap):
            spans.append(
                ("gap", entry.from_open_time_ms // STEP_MS, entry.until_open_time_ms // STEP_MS)
            )
        elif isinstance(entry, ReceivedCandle):
            spans.append(
                ("candle", entry.open_time_ms // STEP_MS, entry.open_time_ms // STEP_MS + 1)
            )
    return spans


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[tuple[str, int]]]:
    """Which candles the exchange has, and what is heard: single ones of the stream, and REST up to some one."""
    has = sorted(draw(st.sets(st.integers(0, 25), min_size=1)))
    heard = draw(
        st.lists(st.tuples(st.sampled_from(["stream", "rest"]), st.sampled_from(has)), max_size=40)
    )
    return has, heard


@given(histories(), st.integers(1, 5))
@settings(max_examples=300, deadline=None)
def test_whatever_is_heard_in_whatever_order_the_log_has_every_candle_once_in_order_and_every_hole(
    history: tuple[list[int], list[tuple[str, int]]], most_rows: int
) -> None:
    has, heard = history
    place, entries = SymbolCursor(SYMBOL, 0), list[LogEntry]()

    def moved(move: Transition) -> SymbolCursor:
        entries.extend(move.entries)
        return move.place

    for source, at in heard:
        if source == "stream":
            place = moved(on_stream_kline(place, kline(at, "stream"), STEP_MS))
        else:
            rows = [kline(n) for n in has if place.next_ms <= n * STEP_MS and n <= at][:most_rows]
            place = moved(on_rest_klines(place, place.next_ms, rows, STEP_MS))
    while place.next_ms <= has[-1] * STEP_MS:
        rows = [kline(n) for n in has if place.next_ms <= n * STEP_MS][:most_rows]
        place = moved(on_rest_klines(place, place.next_ms, rows, STEP_MS))

    spans = covered(entries)
    assert [a for kind, a, _ in spans if kind == "candle"] == has
    assert spans[0][1] == 0
    assert all(one[2] == other[1] for one, other in pairwise(spans))


@st.composite
def rough_times(draw: st.DrawFn) -> tuple[list[int], set[int], list[tuple[str, int, int]]]:
    """What the exchange has, which of it REST garbles, and steps: (what happens, candle, how far REST knows)."""
    has = sorted(draw(st.sets(st.integers(0, 20), min_size=1)))
    garbled = draw(st.sets(st.sampled_from(has), max_size=3))
    what = st.sampled_from(["stream", "ask", "answer", "abort"])
    return (
        has,
        garbled,
        draw(st.lists(st.tuples(what, st.sampled_from(has), st.integers(1, 6)), max_size=60)),
    )


def standing(log: Sequence[LogEntry]) -> SymbolCursor:
    """Where a restarted producer finds the symbol."""
    spans = covered(log)
    return SymbolCursor(SYMBOL, spans[-1][2] * STEP_MS if spans else 0)


def answered(
    has: list[int], garbled: set[int], from_ms: int, until: int, most: int
) -> tuple[int, list[ReceivedCandle | UnreadableKline]]:
    rows = [n for n in has if from_ms <= n * STEP_MS and n <= until][:most]
    return from_ms, [unreadable(n) if n in garbled else kline(n) for n in rows]


@given(rough_times())
@settings(max_examples=300, deadline=None)
def test_aborts_late_answers_and_garbled_rows_leave_no_hole_and_no_candle_twice(
    times: tuple[list[int], set[int], list[tuple[str, int, int]]],
) -> None:
    has, garbled, steps = times
    log, place = list[LogEntry](), SymbolCursor(SYMBOL, 0)
    waiting: list[tuple[int, list[ReceivedCandle | UnreadableKline]]] = []  # answers under way

    answer = partial(answered, has, garbled)

    def written(move: Transition) -> SymbolCursor:
        log.extend(move.entries)
        return move.place

    for what, at, most in steps:
        match what:
            case "stream":
                place = written(on_stream_kline(place, kline(at, "stream"), STEP_MS))
            case "ask":
                waiting.append(answer(place.next_ms, at, most))
            case "answer":
                place = written(
                    on_rest_klines(place, *(waiting.pop(0) if waiting else (0, [])), STEP_MS)
                )
            case _:  # this candle's transaction is taken back, and the log is read again
                on_stream_kline(place, kline(at, "stream"), STEP_MS)
                place = standing(log)
    for _ in range(ASKS_FOR_UNREADABLE * (len(has) + 1)):
        place = written(on_rest_klines(place, *answer(place.next_ms, has[-1], 5), STEP_MS))

    spans = covered(log)
    assert spans[0][1] == 0
    assert spans[-1][2] == has[-1] + 1
    assert all(one[2] == other[1] for one, other in pairwise(spans))
    candles = [a for kind, a, _ in spans if kind == "candle"]
    assert set(has) - garbled <= set(candles) <= set(has)
    assert len(candles) == len(set(candles))


def test_a_symbol_that_is_new_begins_where_the_exchange_begins() -> None:
    move = on_rest_klines(SymbolCursor(SYMBOL, 0, is_new=True), 0, [kline(7), kline(8)], STEP_MS)

    assert covered(move.entries) == [("candle", 7, 8), ("candle", 8, 9)]


def test_what_the_log_has_already_is_dropped_and_counted() -> None:
    move = on_stream_kline(SymbolCursor(SYMBOL, 5 * STEP_MS), kline(4, "stream"), STEP_MS)

    assert move.entries == ()
    assert move.stale == 1


def test_the_stream_alone_never_makes_a_gap() -> None:
    move = on_stream_kline(SymbolCursor(SYMBOL, 5 * STEP_MS), kline(9, "stream"), STEP_MS)

    assert move.entries == ()
    assert [k.open_time_ms for k in move.place.early] == [9 * STEP_MS]


def test_an_answer_asked_for_elsewhere_proves_no_gap() -> None:
    move = on_rest_klines(SymbolCursor(SYMBOL, 2 * STEP_MS), 5 * STEP_MS, [kline(5)], STEP_MS)

    assert move.entries == ()


def test_an_unreadable_candle_is_asked_for_again_then_set_aside_and_the_next_one_goes_on() -> None:
    place, entries = SymbolCursor(SYMBOL, 0), list[LogEntry]()
    for _ in range(ASKS_FOR_UNREADABLE):
        move = on_rest_klines(place, place.next_ms, [unreadable(0), kline(1)], STEP_MS)
        place = move.place
        entries += move.entries

    assert isinstance(entries[0], UnreadableKline)
    assert covered(entries) == [("gap", 0, 1), ("candle", 1, 2)]
