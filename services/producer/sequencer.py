"""Decide what to append to the log for each kline that arrives. PURE: it decides and does nothing.

The rule of the log: every candle of a symbol once, in open-time order, with a gap record wherever
the exchange itself has no candle. Only a REST response can prove a gap: it holds everything from a
time on, while the stream does not tell what it left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from shared.core.records import Gap, MarketMove

MAX_EARLY_CANDLES: Final = 32  # of one symbol; what is dropped comes again by REST
# A gap is final, and an exchange often corrects a garbled kline within seconds: ask so often before
# writing one.
MAX_UNREADABLE_ATTEMPTS: Final = 3

Source = Literal["stream", "rest"]


@dataclass(frozen=True, slots=True)
class KlineOrigin:
    """Where a kline came from: its original bytes, the source, the arrival time."""

    original: bytes
    source: Source
    arrival_ms: int


@dataclass(frozen=True, slots=True)
class ReceivedCandle:
    """A closed kline that passed validation, as the bytes of its record.

    The market's move is known only when the record is written, and not part of these bytes.
    """

    symbol: str
    open_time_ms: int
    close: float
    value: bytes
    source: Source
    arrival_ms: int
    market: MarketMove | None = None


@dataclass(frozen=True, slots=True)
class UnreadableKline:
    """A closed kline that failed validation; its open time is None if that is not valid either."""

    symbol: str
    open_time_ms: int | None
    reason: str
    message: str
    origin: KlineOrigin


ReceivedKline = ReceivedCandle | UnreadableKline
LogEntry = ReceivedCandle | Gap | UnreadableKline


@dataclass(frozen=True, slots=True)
class SymbolCursor:
    """Position of one symbol in the log, and what arrived ahead of it.

    Attributes:
        symbol: the symbol.
        next_open_time_ms: open time of the candle that must be appended next.
        is_new: the log has nothing of it, so its first candle may open later without a gap.
        early: candles of the stream that opened after a missing one, ascending.
        unreadable_attempts: REST responses in a row whose kline at the cursor was unreadable.
    """

    symbol: str
    next_open_time_ms: int
    is_new: bool = False
    early: tuple[ReceivedCandle, ...] = ()
    unreadable_attempts: int = 0


@dataclass(frozen=True, slots=True)
class Transition:
    """A symbol's next cursor, the entries to append, and the number of duplicates dropped."""

    cursor: SymbolCursor
    entries: tuple[LogEntry, ...] = ()
    stale: int = 0


def initial_cursors(
    symbols: Iterable[str], positions: Mapping[str, int], start_ms: int
) -> dict[str, SymbolCursor]:
    """Place each symbol at its position in the log, or at `start_ms` if it has none."""
    return {
        each: SymbolCursor(each, positions.get(each, start_ms), is_new=each not in positions)
        for each in symbols
    }


def on_stream_kline(cursor: SymbolCursor, kline: ReceivedCandle, interval_ms: int) -> Transition:
    """Append the candle that is next, keep one that is early, drop one that the log has."""
    if kline.open_time_ms < cursor.next_open_time_ms:
        return Transition(cursor, stale=1)
    early = {each.open_time_ms: each for each in (kline, *cursor.early)}
    ascending = tuple(early[time_ms] for time_ms in sorted(early))[:MAX_EARLY_CANDLES]
    repeated = len(cursor.early) + 1 - len(early)
    return _release_early(replace(cursor, early=ascending), (), repeated, interval_ms)


def on_rest_klines(
    cursor: SymbolCursor, requested_from_ms: int, rows: Sequence[ReceivedKline], interval_ms: int
) -> Transition:
    """Append the rows of a REST response, and gaps for the candles missing between them.

    Args:
        cursor: where the symbol is now.
        requested_from_ms: the response has every settled kline from here to its last row.
        rows: settled klines, ascending.
        interval_ms: milliseconds between two open times.
    """
    # A response requested before the log was read again may begin after the cursor. What lies
    # between is no gap.
    if requested_from_ms > cursor.next_open_time_ms:
        return Transition(cursor)
    entries: list[LogEntry] = []
    stale = 0
    for row in _merge_early(rows, cursor.early):
        # A row without a time is assumed to be the next candle.
        open_ms = cursor.next_open_time_ms if row.open_time_ms is None else row.open_time_ms
        # 1. Drop what the log has already.
        if open_ms < cursor.next_open_time_ms:
            stale += 1
            continue
        # 2. Write a gap for the open times that the exchange skipped before this row.
        if open_ms > cursor.next_open_time_ms:
            entries += _gap_until(open_ms, cursor)
            cursor = replace(cursor, next_open_time_ms=open_ms, unreadable_attempts=0)
        # 3. Stop at an unreadable row, so that it is requested again, unless it was often enough.
        is_unreadable, attempts = isinstance(row, UnreadableKline), cursor.unreadable_attempts + 1
        if is_unreadable and attempts < MAX_UNREADABLE_ATTEMPTS:
            cursor = replace(cursor, unreadable_attempts=attempts)
            break
        # 4. Append the row and advance. An unreadable one is a dead letter, and a gap in the log.
        next_ms = open_ms + interval_ms
        entries += [row, *_gap_until(next_ms, cursor)] if is_unreadable else [row]
        cursor = SymbolCursor(cursor.symbol, next_ms, cursor.is_new and is_unreadable, cursor.early)
    # 5. Append the early candles that were pending for these rows.
    return _release_early(cursor, tuple(entries), stale, interval_ms)


def _gap_until(end_ms: int, cursor: SymbolCursor) -> list[Gap]:
    """Return the gap from the cursor on; none for a new symbol, whose history begins later."""
    return [] if cursor.is_new else [Gap(cursor.symbol, cursor.next_open_time_ms, end_ms)]


def _merge_early(
    rows: Sequence[ReceivedKline], early: Sequence[ReceivedCandle]
) -> list[ReceivedKline]:
    """Fill in from the stream what REST lacks or garbles between its first and its last row."""
    merged: list[ReceivedKline] = []
    pending = list(early)
    for row in rows:
        time_ms = row.open_time_ms
        while pending and time_ms is not None and pending[0].open_time_ms < time_ms:
            merged.append(pending.pop(0))
        is_garbled = isinstance(row, UnreadableKline)
        fits = pending and pending[0].open_time_ms == time_ms
        merged.append(pending.pop(0) if is_garbled and fits else row)
    return merged


def _release_early(
    cursor: SymbolCursor, entries: tuple[LogEntry, ...], stale: int, interval_ms: int
) -> Transition:
    """Append the early candles that follow the cursor without a hole."""
    next_ms, early, ready = cursor.next_open_time_ms, list(cursor.early), list[ReceivedCandle]()
    while early and early[0].open_time_ms <= next_ms:
        kline = early.pop(0)
        if kline.open_time_ms == next_ms:
            ready.append(kline)
            next_ms += interval_ms
        else:
            stale += 1
    if ready:
        cursor = SymbolCursor(cursor.symbol, next_ms)
    return Transition(replace(cursor, early=tuple(early)), (*entries, *ready), stale)
