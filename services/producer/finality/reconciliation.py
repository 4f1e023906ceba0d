"""Compare the log with REST, long after the closes, and correct it in the open. PURE.

An exchange may revise a candle, announce a provisional close before the final one, or lack candles
for a while. So each symbol is requested again from time to time (`ReconciliationSchedule`):

1. What differs must be read twice with the same value, some seconds apart. Then it is an amendment,
   or a fill if the log has a gap there.
2. A closed kline of the stream that the log has already with another value is an amendment at once.
3. A candle is amended a few times at most: an exchange that flips between two values cannot fill
   the log.
"""

from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from services.producer.backfill.checked_page import CheckedPage
from services.producer.backfill.sequencer import CorrectedCandle, LogEntry, ReceivedCandle
from services.producer.finality.candle_memory import CandleMemory, LogTail
from services.producer.finality.clock_estimate import ClockReading
from services.producer.finality.reconciliation_schedule import (
    CONFIRM_MS,
    HOLE_MS,
    YOUNG_MS,
    ReconciliationSchedule,
    RequestRate,
)
from shared.core.records import Gap

MAX_STREAM_AMENDMENTS, MAX_AMENDMENTS = 3, 6  # of one candle: by the stream, and by both
MAX_LATE: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A value of REST that differs from the log's, and when it was first read."""

    value: bytes
    elapsed_ms: int


class Reconciler:
    """Knows the log's newest values; derives corrections from later ones."""

    def __init__(self, interval_ms: int, after_ms: int, klines_per_minute: RequestRate) -> None:
        """Start without candles.

        Args:
            interval_ms: milliseconds between two open times.
            after_ms: how long after its end a candle is compared.
            klines_per_minute: what the exchange allows.
        """
        self._interval_ms, self._after_ms = interval_ms, after_ms
        self._memory = CandleMemory(interval_ms)
        self.schedule = ReconciliationSchedule(
            self._memory, interval_ms, after_ms, klines_per_minute
        )
        self._suspects: dict[str, dict[int, _Suspect]] = defaultdict(dict)
        self._late: dict[tuple[str, int], ReceivedCandle] = {}
        self._corrections: list[CorrectedCandle] = []
        self._unwritten: dict[tuple[str, int], bytes] = {}  # values of corrections on their way
        self.compared = 0  # candles

    # -- what the log has ---------------------------------------------------------------------

    def on_written(self, entries: Iterable[LogEntry], reading: ClockReading) -> None:
        """Take the entries committed to the log."""
        for entry in entries:
            if isinstance(entry, ReceivedCandle):
                self._on_candle(entry, reading)
            elif isinstance(entry, CorrectedCandle):
                self._unwritten.pop((entry.symbol, entry.candle.open_time_ms), None)
                self._on_correction(entry.candle)
            elif isinstance(entry, Gap):
                self._on_gap(entry, reading)

    def on_tail(self, tail: LogTail, followed: Container[str], reading: ClockReading) -> None:
        """Take the end of the log as it was at the start; what was written since is newer."""
        for gap in tail.gaps:
            if gap.symbol in followed:
                self._on_gap(gap, reading)
        for candle in tail.candles:
            symbol, open_ms = candle.symbol, candle.open_time_ms
            if symbol in followed and not self._memory.has(symbol, open_ms):
                end_ms = open_ms + self._interval_ms
                compare_ms = end_ms + self._after_ms
                self._memory.add(symbol, open_ms, candle.value, compare_ms, candle.amendments)
                self.schedule.on_candle(symbol, end_ms, is_young=False)

    def forget(self, entries: Iterable[LogEntry]) -> None:
        """Drop the candles whose correction may be in the log or not."""
        for entry in entries:
            if isinstance(entry, CorrectedCandle):
                self._unwritten.pop((entry.symbol, entry.candle.open_time_ms), None)
                self._memory.forget(entry.symbol, entry.candle.open_time_ms)

    def unfollow(self, symbol: str) -> None:
        """Drop a symbol."""
        self.schedule.unfollow(symbol)
        self._memory.forget(symbol)
        self._suspects.pop(symbol, None)
        self._unwritten = {place: v for place, v in self._unwritten.items() if place[0] != symbol}

    def _on_gap(self, gap: Gap, reading: ClockReading) -> None:
        check_ms = reading.now_ms + HOLE_MS
        span_ms = gap.from_open_time_ms, gap.until_open_time_ms
        self._memory.add_hole(gap.symbol, *span_ms, check_ms)
        self.schedule.on_hole(gap.symbol, check_ms)

    def _on_candle(self, candle: ReceivedCandle, reading: ClockReading) -> None:
        symbol, open_ms = candle.symbol, candle.open_time_ms
        end_ms, is_rest = open_ms + self._interval_ms, candle.source == "rest"
        compare_ms = end_ms + (YOUNG_MS[0] if is_rest else self._after_ms)
        self._memory.add(symbol, open_ms, candle.value, compare_ms)
        is_young = is_rest and reading.now_ms < compare_ms
        self.schedule.on_candle(symbol, end_ms, is_young=is_young)
        late = self._late.get((symbol, open_ms))
        if late is not None and self._memory.differs(symbol, open_ms, late.value):
            self._corrections += self._correct("amendment", late)

    def _on_correction(self, candle: ReceivedCandle) -> None:
        symbol, open_ms = candle.symbol, candle.open_time_ms
        compare_ms = open_ms + self._interval_ms + self._after_ms
        amendments = self._memory.amendments(symbol, open_ms) + 1
        self._memory.add(symbol, open_ms, candle.value, compare_ms, amendments)

    # -- what is heard later ------------------------------------------------------------------

    def on_stale_kline(self, kline: ReceivedCandle) -> list[CorrectedCandle]:
        """Return the correction that follows from a closed kline that the log has already."""
        symbol, open_ms = kline.symbol, kline.open_time_ms
        if self._memory.lacks(symbol, open_ms):
            return self._correct("fill", kline)
        if not self._memory.has(symbol, open_ms) and len(self._late) < MAX_LATE:
            self._late[symbol, open_ms] = kline  # the first one may be about to be written
        is_allowed = self._memory.amendments(symbol, open_ms) < MAX_STREAM_AMENDMENTS
        if is_allowed and self._memory.differs(symbol, open_ms, kline.value):
            return self._correct("amendment", kline)
        return []

    def take_corrections(self) -> list[CorrectedCandle]:
        """Return the corrections of candles that were written in the last round."""
        taken, self._corrections = self._corrections, []
        self._late.clear()
        return taken

    def on_page(self, page: CheckedPage, reading: ClockReading) -> list[CorrectedCandle]:
        """Return the corrections that follow from an answer of REST.

        Args:
            page: the answer.
            reading: the exchange's time when it was requested.
        """
        suspects, corrections = self._suspects[page.symbol], list[CorrectedCandle]()
        for candle in page.candles:
            # The last row may be unfinished, whatever the clocks say.
            if candle.open_time_ms + self._interval_ms < page.until_ms:
                corrections += self._compare(suspects, candle, reading)
        again_ms = self.schedule.on_answer(page.symbol, suspects.keys(), reading)
        if not again_ms:
            del self._suspects[page.symbol]
        return corrections

    def _compare(
        self, suspects: dict[int, _Suspect], row: ReceivedCandle, reading: ClockReading
    ) -> list[CorrectedCandle]:
        """Return a correction if a row differs from the log as it did some seconds ago."""
        symbol, open_ms = row.symbol, row.open_time_ms
        is_old = reading.closed_ms >= open_ms + self._interval_ms + HOLE_MS
        is_fill = is_old and self._memory.lacks(symbol, open_ms)
        is_amendment = (
            self._memory.compare_from_ms(symbol, open_ms) <= reading.closed_ms
            and self._memory.amendments(symbol, open_ms) < MAX_AMENDMENTS
            and self._memory.differs(symbol, open_ms, row.value)
        )
        self.compared += 1
        if not (is_fill or is_amendment):
            suspects.pop(open_ms, None)
            return []
        first = suspects.get(open_ms)
        if first is None or first.value != row.value:
            suspects[open_ms] = _Suspect(row.value, reading.elapsed_ms)
            return []
        if reading.elapsed_ms - first.elapsed_ms < CONFIRM_MS:
            return []
        del suspects[open_ms]
        return self._correct("fill" if is_fill else "amendment", row)

    def _correct(
        self, kind: Literal["amendment", "fill"], candle: ReceivedCandle
    ) -> list[CorrectedCandle]:
        """Return a correction, or none if the same one, or any fill, is on its way to the log."""
        place = candle.symbol, candle.open_time_ms
        unwritten = self._unwritten.get(place)
        if unwritten is not None and (kind == "fill" or unwritten == candle.value):
            return []
        self._unwritten[place] = candle.value
        return [CorrectedCandle(kind, candle)]
