"""Decide which rows of REST are final. PURE: the clocks are arguments.

REST sends the unfinished candle like any other, and the values of one that has just closed may
settle for some seconds more. So

1. a row that closed long ago, and that another row follows, is final at once;
2. a younger one is final once it was read twice with the same values, some seconds apart;
3. the last row has closed only if two clocks say so; else it must stay the same for an interval.

How long ago a row closed is also known without any clock: the last row of its page opened later.
The page is cut off at its first row that is not final, as if it ended there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from services.producer.backfill.checked_page import CheckedPage
from services.producer.backfill.sequencer import ReceivedCandle, ReceivedKline
from services.producer.events import RestResponse
from services.producer.finality.clock_estimate import ClockReading

# Milliseconds of the exchange's time.
SETTLED_MS: Final = 30_000  # after its end a row is final at once
SETTLING_MS: Final = 2_000  # after its end a reading counts
CONFIRM_MS: Final = 3_000  # between two readings; twice that if no two clocks agree


@dataclass(frozen=True, slots=True)
class _Reading:
    """A row's value, when it was first read, and when it was first read after its end.

    Times are `ClockReading.elapsed_ms`, which never jumps.
    """

    value: bytes
    first_ms: int
    closed_ms: int | None


@dataclass(frozen=True, slots=True)
class _RowPlace:
    """Where a row lies in its page, and what that tells."""

    end_ms: int
    newest_ms: int  # the open time of the last row that the exchange has for sure
    is_last: bool

    def is_old(self, asked: ClockReading) -> bool:
        """Return whether the row closed long ago."""
        age_ms = self.newest_ms - self.end_ms
        if asked.is_corroborated:
            age_ms = max(age_ms, asked.closed_ms - self.end_ms)
        return not self.is_last and age_ms >= SETTLED_MS

    def has_closed(self, asked: ClockReading) -> bool:
        """Return whether a reading of the row counts."""
        if asked.is_corroborated:
            return asked.closed_ms - self.end_ms >= SETTLING_MS
        return not self.is_last


class RowSettling:
    """Remembers the readings of rows that may not be final."""

    def __init__(self, interval_ms: int) -> None:
        """Start without readings."""
        self._interval_ms = interval_ms
        self._readings: dict[str, Mapping[int, _Reading]] = {}

    def settle(self, page: CheckedPage, response: RestResponse) -> CheckedPage:
        """Return the page up to the first row that is not final.

        Args:
            page: the rows of the response, checked.
            response: tells whether an end was requested.
        """
        asked, rows = page.asked, self._rows(page)
        places = self._place(rows, page, response)
        known, unsettled = self._readings.get(page.symbol, {}), dict[int, _Reading]()
        until_ms = page.until_ms
        # Rows of a time that has not come are no rows, and prove no hole before them.
        if len(places) < len(rows):
            until_ms = max((each.end_ms for each in places.values()), default=page.from_ms)
        for open_ms, place in places.items():
            if open_ms < page.from_ms or place.is_old(asked):
                continue
            reading = self._read(rows[open_ms], place, known.get(open_ms), asked)
            if not self._is_settled(place, reading, asked):
                until_ms = min(until_ms, open_ms)
                if reading is not None:
                    unsettled[open_ms] = reading
        self._remember(page.symbol, unsettled)
        # A row off the interval's grid speaks of the candle in whose time it opens.
        until_ms -= until_ms % self._interval_ms
        if until_ms >= page.until_ms:
            return page
        return replace(page.cut(until_ms), has_more=page.has_more and until_ms > page.from_ms)

    def forget(self, symbol: str) -> None:
        """Drop the readings of a symbol."""
        self._readings.pop(symbol, None)

    def _rows(self, page: CheckedPage) -> Mapping[int, ReceivedKline]:
        candles = {each.open_time_ms: each for each in page.candles}
        return {**page.unreadable, **candles}

    def _place(
        self, rows: Mapping[int, ReceivedKline], page: CheckedPage, response: RestResponse
    ) -> dict[int, _RowPlace]:
        """Return the places of the rows whose time has come."""
        asked = page.asked
        believed_ms = asked.now_ms + asked.tolerance_ms
        opens_ms = [ms for ms in rows if asked.now_ms == 0 or ms <= believed_ms]
        last_ms = max(opens_ms, default=0)
        # The exchange has a row at the end that was requested, or after a page that it cut.
        later_ms = response.until_ms
        if later_ms is None and response.has_more:
            later_ms = last_ms + self._interval_ms
        newest_ms = max(last_ms, later_ms or 0)
        return {
            ms: _RowPlace(ms + self._interval_ms, newest_ms, later_ms is None and ms == last_ms)
            for ms in opens_ms
        }

    def _read(
        self, row: ReceivedKline, place: _RowPlace, before: _Reading | None, asked: ClockReading
    ) -> _Reading | None:
        """Return the reading of a row; None if it cannot be read."""
        if not isinstance(row, ReceivedCandle):
            return None
        now_ms = asked.elapsed_ms
        if before is None or before.value != row.value:
            before = _Reading(row.value, now_ms, None)
        if before.closed_ms is None and place.has_closed(asked):
            return replace(before, closed_ms=now_ms)
        return before

    def _is_settled(self, place: _RowPlace, reading: _Reading | None, asked: ClockReading) -> bool:
        if reading is None:  # it is no value: its reader counts how often it was like this
            return place.has_closed(asked)
        confirm_ms = CONFIRM_MS if asked.is_corroborated else 2 * CONFIRM_MS
        if reading.closed_ms is not None and asked.elapsed_ms - reading.closed_ms >= confirm_ms:
            return True
        # Whatever the clocks say: what was the same for a whole interval cannot be open any more.
        return asked.elapsed_ms - reading.first_ms >= self._interval_ms + SETTLED_MS

    def _remember(self, symbol: str, unsettled: Mapping[int, _Reading]) -> None:
        if unsettled:
            self._readings[symbol] = unsettled
        else:
            self._readings.pop(symbol, None)
