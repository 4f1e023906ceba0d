"""Decide on the finality of values and on corrections. PURE: the clocks are arguments."""

from collections import deque
from collections.abc import Container, Iterable, Sequence
from typing import Final

from services.producer.backfill.checked_page import CheckedPage
from services.producer.backfill.sequencer import (
    CorrectedCandle,
    LogEntry,
    ReceivedCandle,
    SymbolCursor,
)
from services.producer.events import RestResponse
from services.producer.finality.candle_memory import LogTail
from services.producer.finality.clock_estimate import ClockReading
from services.producer.finality.reconciliation import Reconciler
from services.producer.finality.reconciliation_schedule import RequestRate
from services.producer.finality.settling import RowSettling
from services.producer.rest.requests import KlineRequest

DEFAULT_AFTER_MS: Final = 900_000
USUAL_KLINES_PER_MINUTE: Final = 1_800.0  # within 60 % of Binance's limit


class Finality:
    """The worker's door to `RowSettling` and `Reconciler`.

    Attributes:
        tails: ends of the log that are to be taken in; another thread may append one.
    """

    def __init__(
        self,
        interval_ms: int,
        reconcile_after_ms: int = DEFAULT_AFTER_MS,
        klines_per_minute: RequestRate = lambda: USUAL_KLINES_PER_MINUTE,
    ) -> None:
        """Start without knowledge of the log.

        Args:
            interval_ms: milliseconds between two open times.
            reconcile_after_ms: when closed candles are compared with REST; 0: never.
            klines_per_minute: what the exchange allows.
        """
        self._interval_ms, self._is_reconciled = interval_ms, reconcile_after_ms > 0
        self.tails = deque[LogTail]()
        self._settling = RowSettling(interval_ms)
        self._reconciler = Reconciler(
            interval_ms, reconcile_after_ms or DEFAULT_AFTER_MS, klines_per_minute
        )

    @property
    def compared(self) -> int:
        """How many candles have been compared with REST."""
        return self._reconciler.compared

    def settle(
        self, page: CheckedPage, response: RestResponse, *, is_followed: bool
    ) -> CheckedPage:
        """Return the page up to the first row that is not final.

        Of a symbol that is followed for its price alone, what has closed is good enough.
        """
        if is_followed:
            return self._settling.settle(page, response)
        closed_ms = page.asked.closed_ms // self._interval_ms * self._interval_ms
        return page.cut(max(page.from_ms, closed_ms))

    def on_stream_kline(
        self, cursor: SymbolCursor, kline: ReceivedCandle
    ) -> Sequence[CorrectedCandle]:
        """Return the correction that follows from a closed kline, if the log is past it."""
        is_stale = kline.open_time_ms < cursor.next_open_time_ms
        return self._reconciler.on_stale_kline(kline) if is_stale else ()

    def take_corrections(
        self, followed: Container[str], reading: ClockReading
    ) -> Sequence[CorrectedCandle]:
        """Return the corrections of candles that were written in the last round."""
        while self.tails:
            self._reconciler.on_tail(self.tails.popleft(), followed, reading)
        return self._reconciler.take_corrections()

    def on_written(self, entries: Iterable[LogEntry], reading: ClockReading) -> None:
        """Take the entries committed to the log."""
        self._reconciler.on_written(entries, reading)

    def forget(self, entries: Iterable[LogEntry]) -> None:
        """Forget entries whose commit is uncertain; the log's end is read again."""
        self._reconciler.forget(entries)

    def take_due(self, reading: ClockReading, now_s: float) -> KlineRequest | None:
        """Return the next request for candles to compare; None if it is not the time for one."""
        return self._reconciler.schedule.take_due(reading, now_s) if self._is_reconciled else None

    def on_compared_page(self, page: CheckedPage) -> Sequence[CorrectedCandle]:
        """Return the corrections that follow from the answer to such a request."""
        return self._reconciler.on_page(page, page.asked)

    def on_failure(self, symbol: str, reading: ClockReading) -> None:
        """Record such a request that got no usable answer."""
        self._reconciler.schedule.on_failure(symbol, reading)

    def unfollow(self, symbol: str) -> None:
        """Drop a symbol."""
        self._settling.forget(symbol)
        self._reconciler.unfollow(symbol)
