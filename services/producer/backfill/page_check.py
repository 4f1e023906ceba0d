"""Check a page of klines before anything in it is believed. PURE.

A cache may ignore the start that was requested, turn the order around, answer for another interval
or mix two states of the exchange. Such a page proves nothing: it counts as a request that failed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Final

from services.producer.backfill.checked_page import CheckedPage
from services.producer.backfill.sequencer import ReceivedCandle, ReceivedKline, UnreadableKline
from services.producer.events import RestFailure, RestResponse

MIN_NARROW_STEPS: Final = 3  # rows closer than the interval: a few occur after an outage

_ByTime = Mapping[int, ReceivedKline]


def check_page(response: RestResponse, interval_ms: int) -> CheckedPage | RestFailure:
    """Return a page in ascending order, or the reason why it is not credible.

    Whether it begins at the candle that the log has is left to the reader: `CheckedPage.has_anchor`
    says it.

    Args:
        response: the page as it was read; the candle before the requested one is part of it.
        interval_ms: milliseconds between two open times.
    """
    first_ms = max(0, response.requested_from_ms - interval_ms)
    # 1. A row without a time is taken for the candle after the row before it.
    rows = _placed(response.rows, first_ms, interval_ms)
    # 2. A repeated row does no harm, unless it says something else.
    by_time: dict[int, ReceivedKline] = {}
    for time_ms, row in rows:
        if by_time.setdefault(time_ms, row) != row:
            return _failure(response, f"two rows that open at {time_ms} ms have different values")
    # 3. Whatever their order was, the rows must be those that were requested.
    ascending = dict(sorted(by_time.items()))
    if reason := _foreign_rows(ascending, first_ms, response.until_ms, interval_ms):
        return _failure(response, reason)
    # 4. Now the page may be read.
    return _split(response, ascending, interval_ms)


def _placed(
    rows: Iterable[ReceivedKline], first_ms: int, interval_ms: int
) -> list[tuple[int, ReceivedKline]]:
    """Return rows with their open time; one without is dropped if its place is taken."""
    rows = list(rows)
    known_ms = {row.open_time_ms for row in rows}
    placed, next_ms = list[tuple[int, ReceivedKline]](), first_ms
    for row in rows:
        if row.open_time_ms is not None:
            placed.append((row.open_time_ms, row))
            next_ms = row.open_time_ms + interval_ms
        elif next_ms not in known_ms:
            placed.append((next_ms, replace(row, open_time_ms=next_ms)))
            next_ms += interval_ms
    return placed


def _foreign_rows(
    ascending: _ByTime, first_ms: int, until_ms: int | None, interval_ms: int
) -> str | None:
    """Return why the rows cannot be the ones requested; None if they can."""
    for time_ms in ascending:
        if time_ms < first_ms or (until_ms is not None and time_ms >= until_ms):
            asked = f"{first_ms} ms" if until_ms is None else f"{first_ms} up to {until_ms} ms"
            return f"a row opens at {time_ms} ms, requested were rows from {asked}"
    steps_ms = [later - earlier for earlier, later in pairwise(ascending)]
    narrow = sum(step_ms < interval_ms for step_ms in steps_ms)
    if narrow >= MIN_NARROW_STEPS and 2 * narrow > len(steps_ms):
        return f"rows open {min(steps_ms)} ms apart, which is not the interval requested"
    return None


def _split(response: RestResponse, ascending: _ByTime, interval_ms: int) -> CheckedPage:
    """Tell the candles from the other rows, and how far the page speaks."""
    from_ms, until_ms = response.requested_from_ms, response.until_ms
    last_ms = max(ascending, default=None)
    end_ms = from_ms if last_ms is None else last_ms - last_ms % interval_ms + interval_ms
    complete_until_ms = end_ms if response.has_more else response.complete_until_ms
    # What comes after the last row may be late; not where the request had an end.
    if until_ms is not None and not response.has_more:
        end_ms = until_ms
    candles = [row for row in ascending.values() if isinstance(row, ReceivedCandle)]
    earlier = [each for each in candles if each.open_time_ms < from_ms]
    return CheckedPage(
        symbol=response.symbol,
        from_ms=from_ms,
        until_ms=max(from_ms, end_ms),
        candles=tuple(candles[len(earlier) :]),
        unreadable={ms: row for ms, row in ascending.items() if isinstance(row, UnreadableKline)},
        before=earlier[-1] if earlier else None,
        has_anchor=from_ms < interval_ms or any(ms < from_ms for ms in ascending),
        has_more=response.has_more or until_ms is not None,
        complete_until_ms=complete_until_ms,
        logged_moves=response.logged_moves,
        asked=response.asked,
    )


def _failure(response: RestResponse, reason: str) -> RestFailure:
    return RestFailure(
        response.symbol,
        f"klines of {response.symbol}: {reason}; asking again",
        priority=response.priority,
    )
