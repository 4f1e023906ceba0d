"""What follows for the log from what the exchange says. PURE: it decides and does nothing.

The rule of the log: every candle of a symbol once, in open-time order, nothing missing but what the exchange itself
lacks. Only REST may say that something is missing: it answers with all there is from a time on, while the stream says
nothing about what it did not send.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from shared.core.records import Gap

EARLY_KEPT: Final = 32  # of one symbol; REST has what is dropped
ASKS_FOR_UNREADABLE: Final = (
    3  # a gap stays in the log for ever: an exchange may first correct itself
)

Source = Literal["stream", "rest"]


@dataclass(frozen=True, slots=True)
class ReceivedCandle:
    """A closed kline, checked, as the bytes of its record."""

    symbol: str
    open_time_ms: int
    value: bytes
    source: Source
    arrival_ms: int


@dataclass(frozen=True, slots=True)
class UnreadableKline:
    """A closed kline that is no candle. The open time is None where not even that can be believed."""

    symbol: str
    open_time_ms: int | None
    original: bytes
    reason: str
    message: str
    source: Source
    arrival_ms: int


LogEntry = ReceivedCandle | Gap | UnreadableKline


@dataclass(frozen=True, slots=True)
class SymbolCursor:
    """Where one symbol stands."""

    symbol: str
    next_ms: int  # open time of the candle that must come next
    is_new: bool = False  # the log has nothing of it: it may begin later than next_ms without a gap
    early: tuple[
        ReceivedCandle, ...
    ] = ()  # ascending: came by stream while something before them was missing
    unreadable_asks: int = 0  # REST's last answers that had an unreadable kline at next_ms


@dataclass(frozen=True, slots=True)
class Transition:
    """Where the symbol stands after something came, what to write, and how many klines the log had already."""

    place: SymbolCursor
    entries: tuple[LogEntry, ...] = ()
    stale: int = 0


def on_stream_kline(place: SymbolCursor, kline: ReceivedCandle, step_ms: int) -> Transition:
    """Return the move for a kline of the stream: publish what is next, keep what is early, drop what is stale."""
    if kline.open_time_ms < place.next_ms:
        return Transition(place, stale=1)
    early = {one.open_time_ms: one for one in (kline, *place.early)}
    ascending = tuple(early[time_ms] for time_ms in sorted(early))[:EARLY_KEPT]
    return _with_early(
        replace(place, early=ascending), (), len(place.early) + 1 - len(early), step_ms
    )


def on_rest_klines(
    place: SymbolCursor,
    asked_from_ms: int,
    rows: Sequence[ReceivedCandle | UnreadableKline],
    step_ms: int,
) -> Transition:
    """Return the move for an answer of REST.

    Args:
        place: where the symbol stands now.
        asked_from_ms: the answer has every settled kline from here to its last row.
        rows: settled klines, ascending.
        step_ms: the interval.
    """
    if (
        asked_from_ms > place.next_ms
    ):  # asked before the log was found to stand elsewhere: it proves no gap
        return Transition(place)
    entries: list[LogEntry] = []
    stale = 0
    for row in _with_those_between(rows, place.early):
        if row.open_time_ms is not None and row.open_time_ms < place.next_ms:
            stale += 1
            continue
        entries += _hole_before(place, row)
        place = _at(place, row)
        if isinstance(row, UnreadableKline):
            if place.unreadable_asks + 1 < ASKS_FOR_UNREADABLE:
                place = replace(place, unreadable_asks=place.unreadable_asks + 1)
                break
            entries += [row, *_in_place_of(place, step_ms)]
            place = SymbolCursor(place.symbol, place.next_ms + step_ms, place.is_new, place.early)
        else:
            entries.append(row)
            place = SymbolCursor(place.symbol, place.next_ms + step_ms, early=place.early)
    return _with_early(place, tuple(entries), stale, step_ms)


def _with_those_between(
    rows: Sequence[ReceivedCandle | UnreadableKline], early: Sequence[ReceivedCandle]
) -> list[ReceivedCandle | UnreadableKline]:
    """Return REST's rows, and where it lacks or garbles a kline that the stream gave, the stream's."""
    merged: list[ReceivedCandle | UnreadableKline] = []
    waiting = list(early)
    for row in rows:
        time_ms = row.open_time_ms
        while waiting and time_ms is not None and waiting[0].open_time_ms < time_ms:
            merged.append(waiting.pop(0))
        if waiting and isinstance(row, UnreadableKline) and waiting[0].open_time_ms == time_ms:
            merged.append(waiting.pop(0))
        else:
            merged.append(row)
    return merged


def _hole_before(place: SymbolCursor, row: ReceivedCandle | UnreadableKline) -> list[Gap]:
    if place.is_new or row.open_time_ms is None or row.open_time_ms == place.next_ms:
        return []
    return [Gap(place.symbol, place.next_ms, row.open_time_ms)]


def _at(place: SymbolCursor, row: ReceivedCandle | UnreadableKline) -> SymbolCursor:
    """Return the place moved up to a row; one without a time is where the next candle should be."""
    if row.open_time_ms is None or row.open_time_ms == place.next_ms:
        return place
    return replace(place, next_ms=row.open_time_ms, unreadable_asks=0)


def _in_place_of(place: SymbolCursor, step_ms: int) -> list[Gap]:
    """Return the gap that stands for an unreadable candle: to readers of the log there is none."""
    return [] if place.is_new else [Gap(place.symbol, place.next_ms, place.next_ms + step_ms)]


def _with_early(
    place: SymbolCursor, entries: tuple[LogEntry, ...], stale: int, step_ms: int
) -> Transition:
    """Publish what waited for this moment."""
    next_ms, early, ready = place.next_ms, list(place.early), list[ReceivedCandle]()
    while early and early[0].open_time_ms <= next_ms:
        kline = early.pop(0)
        if kline.open_time_ms == next_ms:
            ready.append(kline)
            next_ms += step_ms
        else:
            stale += 1
    if ready:
        place = SymbolCursor(place.symbol, next_ms)
    return Transition(replace(place, early=tuple(early)), (*entries, *ready), stale)
