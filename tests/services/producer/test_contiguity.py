from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.producer.contiguity import (
    ASKS_FOR_UNREADABLE,
    Entry,
    Kline,
    Move,
    Place,
    Unreadable,
    rest_said,
    stream_said,
)
from shared.core.candle import Gap

STEP_MS = 300_000
SYMBOL = "BTCUSDT"


def kline(at: int, source: str = "rest") -> Kline:
    return Kline(SYMBOL, at * STEP_MS, b"{}", "rest" if source == "rest" else "stream", 0)


def unreadable(at: int) -> Unreadable:
    return Unreadable(SYMBOL, at * STEP_MS, b"nonsense", "bad_field", "nonsense", "rest", 0)


def covered(entries: Sequence[Entry]) -> list[tuple[str, int, int]]:
    """(kind, from, until) in candle numbers."""
    spans = []
    for entry in entries:
        if isinstance(entry, Gap):
            spans.append(("gap", entry.from_open_time_ms // STEP_MS, entry.until_open_time_ms // STEP_MS))
        elif isinstance(entry, Kline):
            spans.append(("candle", entry.open_time_ms // STEP_MS, entry.open_time_ms // STEP_MS + 1))
    return spans


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[tuple[str, int]]]:
    """Which candles the exchange has, and what is heard: single ones of the stream, and REST up to some one."""
    has = sorted(draw(st.sets(st.integers(0, 25), min_size=1)))
    heard = draw(st.lists(st.tuples(st.sampled_from(["stream", "rest"]), st.sampled_from(has)), max_size=40))
    return has, heard


@given(histories(), st.integers(1, 5))
@settings(max_examples=300, deadline=None)
def test_whatever_is_heard_in_whatever_order_the_log_has_every_candle_once_in_order_and_every_hole(
    history: tuple[list[int], list[tuple[str, int]]], most_rows: int
) -> None:
    has, heard = history
    place, entries = Place(SYMBOL, 0), list[Entry]()

    def moved(move: Move) -> Place:
        entries.extend(move.entries)
        return move.place

    for source, at in heard:
        if source == "stream":
            place = moved(stream_said(place, kline(at, "stream"), STEP_MS))
        else:
            rows = [kline(n) for n in has if place.next_ms <= n * STEP_MS and n <= at][:most_rows]
            place = moved(rest_said(place, place.next_ms, rows, STEP_MS))
    while place.next_ms <= has[-1] * STEP_MS:
        rows = [kline(n) for n in has if place.next_ms <= n * STEP_MS][:most_rows]
        place = moved(rest_said(place, place.next_ms, rows, STEP_MS))

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
    return has, garbled, draw(st.lists(st.tuples(what, st.sampled_from(has), st.integers(1, 6)), max_size=60))


def standing(log: Sequence[Entry]) -> Place:
    """Where a restarted producer finds the symbol."""
    spans = covered(log)
    return Place(SYMBOL, spans[-1][2] * STEP_MS if spans else 0)


def answered(
    has: list[int], garbled: set[int], from_ms: int, until: int, most: int
) -> tuple[int, list[Kline | Unreadable]]:
    rows = [n for n in has if from_ms <= n * STEP_MS and n <= until][:most]
    return from_ms, [unreadable(n) if n in garbled else kline(n) for n in rows]


@given(rough_times())
@settings(max_examples=300, deadline=None)
def test_aborts_late_answers_and_garbled_rows_leave_no_hole_and_no_candle_twice(
    times: tuple[list[int], set[int], list[tuple[str, int, int]]],
) -> None:
    has, garbled, steps = times
    log, place = list[Entry](), Place(SYMBOL, 0)
    waiting: list[tuple[int, list[Kline | Unreadable]]] = []  # answers under way

    answer = partial(answered, has, garbled)

    def written(move: Move) -> Place:
        log.extend(move.entries)
        return move.place

    for what, at, most in steps:
        match what:
            case "stream":
                place = written(stream_said(place, kline(at, "stream"), STEP_MS))
            case "ask":
                waiting.append(answer(place.next_ms, at, most))
            case "answer":
                place = written(rest_said(place, *(waiting.pop(0) if waiting else (0, [])), STEP_MS))
            case _:  # this candle's transaction is taken back, and the log is read again
                stream_said(place, kline(at, "stream"), STEP_MS)
                place = standing(log)
    for _ in range(ASKS_FOR_UNREADABLE * (len(has) + 1)):
        place = written(rest_said(place, *answer(place.next_ms, has[-1], 5), STEP_MS))

    spans = covered(log)
    assert spans[0][1] == 0
    assert spans[-1][2] == has[-1] + 1
    assert all(one[2] == other[1] for one, other in pairwise(spans))
    candles = [a for kind, a, _ in spans if kind == "candle"]
    assert set(has) - garbled <= set(candles) <= set(has)
    assert len(candles) == len(set(candles))


def test_a_symbol_that_is_new_begins_where_the_exchange_begins() -> None:
    move = rest_said(Place(SYMBOL, 0, is_new=True), 0, [kline(7), kline(8)], STEP_MS)

    assert covered(move.entries) == [("candle", 7, 8), ("candle", 8, 9)]


def test_what_the_log_has_already_is_dropped_and_counted() -> None:
    move = stream_said(Place(SYMBOL, 5 * STEP_MS), kline(4, "stream"), STEP_MS)

    assert move.entries == ()
    assert move.stale == 1


def test_the_stream_alone_never_makes_a_gap() -> None:
    move = stream_said(Place(SYMBOL, 5 * STEP_MS), kline(9, "stream"), STEP_MS)

    assert move.entries == ()
    assert [k.open_time_ms for k in move.place.early] == [9 * STEP_MS]


def test_an_answer_asked_for_elsewhere_proves_no_gap() -> None:
    move = rest_said(Place(SYMBOL, 2 * STEP_MS), 5 * STEP_MS, [kline(5)], STEP_MS)

    assert move.entries == ()


def test_an_unreadable_candle_is_asked_for_again_then_set_aside_and_the_next_one_goes_on() -> None:
    place, entries = Place(SYMBOL, 0), list[Entry]()
    for _ in range(ASKS_FOR_UNREADABLE):
        move = rest_said(place, place.next_ms, [unreadable(0), kline(1)], STEP_MS)
        place = move.place
        entries += move.entries

    assert isinstance(entries[0], Unreadable)
    assert covered(entries) == [("gap", 0, 1), ("candle", 1, 2)]
