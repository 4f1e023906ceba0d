"""Decide what to append to the log for a page of klines. PURE: it decides and does nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from services.producer.backfill.checked_page import CheckedPage, merge_early
from services.producer.backfill.sequencer import (
    LogEntry,
    SymbolCursor,
    Transition,
    UnreadableKline,
    release_early,
)
from shared.core.records import Gap


def on_rest_page(
    cursor: SymbolCursor,
    page: CheckedPage,
    interval_ms: int,
    certain_until_ms: Callable[[SymbolCursor, int], int],
) -> Transition:
    """Append the candles of a page, and gaps for those that are certainly missing.

    Args:
        cursor: where the symbol is now.
        page: what REST said.
        interval_ms: milliseconds between two open times.
        certain_until_ms: returns up to where the exchange certainly has no candle, from a cursor
            on, up to an open time at most.
    """
    # A page requested before the log was read again may begin after the cursor. What lies between
    # is no gap.
    if page.from_ms > cursor.next_open_time_ms:
        return Transition(cursor)
    entries: list[LogEntry] = []
    stale = 0
    for candle in merge_early(page, cursor.early):
        open_ms, next_ms = candle.open_time_ms, cursor.next_open_time_ms
        # 1. Drop what the log has already.
        if open_ms < next_ms:
            stale += 1
            continue
        # 2. Stop at a hole that is still in doubt: it is requested again. Pass one that is certain.
        if open_ms > next_ms and certain_until_ms(cursor, open_ms) < open_ms:
            break
        entries += _passed(cursor, open_ms, page, interval_ms)
        # 3. Append the candle and advance.
        entries.append(candle)
        cursor = SymbolCursor(cursor.symbol, open_ms + interval_ms, early=cursor.early)
    else:
        # 4. After the last candle the page may have rows that are none.
        next_ms = cursor.next_open_time_ms
        if next_ms <= page.until_ms:
            until_ms = certain_until_ms(cursor, page.until_ms)
            entries += _passed(cursor, until_ms, page, interval_ms)
            cursor = replace(cursor, next_open_time_ms=until_ms)
    # 5. Append the early candles that were pending for these rows.
    return release_early(cursor, tuple(entries), stale, interval_ms)


def _passed(
    cursor: SymbolCursor, until_ms: int, page: CheckedPage, interval_ms: int
) -> list[LogEntry]:
    """Return gap and dead letters between the cursor and an open time."""
    from_ms = cursor.next_open_time_ms
    rows = {ms: row for ms, row in page.unreadable.items() if from_ms - interval_ms < ms < until_ms}
    # 1. What could not be read is a dead letter, to be looked at.
    entries: list[LogEntry] = [row for ms, row in rows.items() if ms % interval_ms == 0]
    off_grid = [(ms, row) for ms, row in rows.items() if ms % interval_ms]
    # A run of rows off the grid is one; the page before had it if it begins before this page.
    if off_grid and off_grid[0][0] > page.from_ms:
        entries.append(_set_aside(off_grid))
    # 2. The history of a new symbol begins after a hole; any other symbol has a gap.
    if until_ms > from_ms and not cursor.is_new:
        entries.append(Gap(cursor.symbol, from_ms, until_ms))
    return entries


def _set_aside(off_grid: Sequence[tuple[int, UnreadableKline]]) -> UnreadableKline:
    first_ms, first = off_grid[0]
    message = (
        f"{len(off_grid)} rows, the first at {first_ms} ms, open off the interval's grid: they are"
        " no candles and are left out"
    )
    return replace(first, reason="off_grid", message=message)
