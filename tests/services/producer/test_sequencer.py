from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.producer.sequencer import (
    MAX_UNREADABLE_ATTEMPTS,
    KlineOrigin,
    LogEntry,
    ReceivedCandle,
    SymbolCursor,
    Transition,
    UnreadableKline,
    initial_cursors,
    on_rest_klines,
    on_stream_kline,
)
from shared.core.records import Gap

STEP_MS = 300_000
SYMBOL = "BTCUSDT"


def kline(at: int, source: str = "rest") -> ReceivedCandle:
    from_rest = source == "rest"
    return ReceivedCandle(SYMBOL, at * STEP_MS, 1.0, b"{}", "rest" if from_rest else "stream", 0)


def unreadable(at: int) -> UnreadableKline:
    origin = KlineOrigin(b"nonsense", "rest", 0)
    return UnreadableKline(SYMBOL, at * STEP_MS, "bad_field", "nonsense", origin)


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
    """Draw the exchange's candles, and arrivals: one of the stream, or REST up to one."""
    has = sorted(draw(st.sets(st.integers(0, 25), min_size=1)))
    arrivals = draw(
        st.lists(st.tuples(st.sampled_from(["stream", "rest"]), st.sampled_from(has)), max_size=40)
    )
    return has, arrivals


@given(histories(), st.integers(1, 5))
@settings(max_examples=300, deadline=None)
def test_in_whatever_order_klines_arrive_the_log_has_every_candle_once_in_order_and_every_gap(
    history: tuple[list[int], list[tuple[str, int]]], most_rows: int
) -> None:
    has, arrivals = history
    cursor, entries = SymbolCursor(SYMBOL, 0), list[LogEntry]()

    def apply(transition: Transition) -> SymbolCursor:
        entries.extend(transition.entries)
        return transition.cursor

    for source, at in arrivals:
        if source == "stream":
            cursor = apply(on_stream_kline(cursor, kline(at, "stream"), STEP_MS))
        else:
            known = [n for n in has if cursor.next_open_time_ms <= n * STEP_MS and n <= at]
            rows = [kline(n) for n in known[:most_rows]]
            cursor = apply(on_rest_klines(cursor, cursor.next_open_time_ms, rows, STEP_MS))
    while cursor.next_open_time_ms <= has[-1] * STEP_MS:
        rows = [kline(n) for n in has if cursor.next_open_time_ms <= n * STEP_MS][:most_rows]
        cursor = apply(on_rest_klines(cursor, cursor.next_open_time_ms, rows, STEP_MS))

    spans = covered(entries)
    assert [a for kind, a, _ in spans if kind == "candle"] == has
    assert spans[0][1] == 0
    assert all(one[2] == other[1] for one, other in pairwise(spans))


@st.composite
def disturbed_histories(draw: st.DrawFn) -> tuple[list[int], set[int], list[tuple[str, int, int]]]:
    """Draw candles, which of them REST garbles, and steps: (event, candle, rows of a response)."""
    has = sorted(draw(st.sets(st.integers(0, 20), min_size=1)))
    garbled = draw(st.sets(st.sampled_from(has), max_size=3))
    what = st.sampled_from(["stream", "request", "response", "abort"])
    return (
        has,
        garbled,
        draw(st.lists(st.tuples(what, st.sampled_from(has), st.integers(1, 6)), max_size=60)),
    )


def recovered_cursor(log: Sequence[LogEntry]) -> SymbolCursor:
    """Return the cursor that a restarted producer reads from the log."""
    spans = covered(log)
    return SymbolCursor(SYMBOL, spans[-1][2] * STEP_MS if spans else 0)


def response(
    has: list[int], garbled: set[int], from_ms: int, until: int, most: int
) -> tuple[int, list[ReceivedCandle | UnreadableKline]]:
    rows = [n for n in has if from_ms <= n * STEP_MS and n <= until][:most]
    return from_ms, [unreadable(n) if n in garbled else kline(n) for n in rows]


@given(disturbed_histories())
@settings(max_examples=300, deadline=None)
def test_aborts_late_responses_and_garbled_rows_leave_no_hole_and_no_candle_twice(
    history: tuple[list[int], set[int], list[tuple[str, int, int]]],
) -> None:
    has, garbled, steps = history
    log, cursor = list[LogEntry](), SymbolCursor(SYMBOL, 0)
    in_flight: list[tuple[int, list[ReceivedCandle | UnreadableKline]]] = []

    respond = partial(response, has, garbled)

    def apply(transition: Transition) -> SymbolCursor:
        log.extend(transition.entries)
        return transition.cursor

    for what, at, most in steps:
        match what:
            case "stream":
                cursor = apply(on_stream_kline(cursor, kline(at, "stream"), STEP_MS))
            case "request":
                in_flight.append(respond(cursor.next_open_time_ms, at, most))
            case "response":
                cursor = apply(
                    on_rest_klines(cursor, *(in_flight.pop(0) if in_flight else (0, [])), STEP_MS)
                )
            case _:  # the transaction of this candle is aborted and the log is read again
                on_stream_kline(cursor, kline(at, "stream"), STEP_MS)
                cursor = recovered_cursor(log)
    for _ in range(MAX_UNREADABLE_ATTEMPTS * (len(has) + 1)):
        from_ms, rows = respond(cursor.next_open_time_ms, has[-1], 5)
        cursor = apply(on_rest_klines(cursor, from_ms, rows, STEP_MS))

    spans = covered(log)
    assert spans[0][1] == 0
    assert spans[-1][2] == has[-1] + 1
    assert all(one[2] == other[1] for one, other in pairwise(spans))
    candles = [a for kind, a, _ in spans if kind == "candle"]
    assert set(has) - garbled <= set(candles) <= set(has)
    assert len(candles) == len(set(candles))


def test_a_new_symbol_begins_where_the_exchange_begins() -> None:
    transition = on_rest_klines(
        SymbolCursor(SYMBOL, 0, is_new=True), 0, [kline(7), kline(8)], STEP_MS
    )

    assert covered(transition.entries) == [("candle", 7, 8), ("candle", 8, 9)]


def test_what_the_log_has_already_is_dropped_and_counted() -> None:
    transition = on_stream_kline(SymbolCursor(SYMBOL, 5 * STEP_MS), kline(4, "stream"), STEP_MS)

    assert transition.entries == ()
    assert transition.stale == 1


def test_the_stream_alone_never_makes_a_gap() -> None:
    transition = on_stream_kline(SymbolCursor(SYMBOL, 5 * STEP_MS), kline(9, "stream"), STEP_MS)

    assert transition.entries == ()
    assert [k.open_time_ms for k in transition.cursor.early] == [9 * STEP_MS]


def test_a_response_requested_from_a_later_time_proves_no_gap() -> None:
    transition = on_rest_klines(SymbolCursor(SYMBOL, 2 * STEP_MS), 5 * STEP_MS, [kline(5)], STEP_MS)

    assert transition.entries == ()


def test_an_unreadable_candle_is_requested_again_then_becomes_a_dead_letter() -> None:
    cursor, entries = SymbolCursor(SYMBOL, 0), list[LogEntry]()
    for _ in range(MAX_UNREADABLE_ATTEMPTS):
        transition = on_rest_klines(
            cursor, cursor.next_open_time_ms, [unreadable(0), kline(1)], STEP_MS
        )
        cursor = transition.cursor
        entries += transition.entries

    assert isinstance(entries[0], UnreadableKline)
    assert covered(entries) == [("gap", 0, 1), ("candle", 1, 2)]


def test_a_symbol_resumes_where_the_log_ends_and_a_new_one_begins_at_the_start() -> None:
    assert initial_cursors(["BTCUSDT", "NEWUSDT"], {"BTCUSDT": 900}, 300) == {
        "BTCUSDT": SymbolCursor("BTCUSDT", 900),
        "NEWUSDT": SymbolCursor("NEWUSDT", 300, is_new=True),
    }
