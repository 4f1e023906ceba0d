"""Decide which symbols to request from REST, and when. PURE: the clocks are arguments.

A candle is overdue once the exchange's time has passed its close for a grace period of real time:
the stream of a symbol that nobody trades may never announce the close. The exchange's time may run
faster than real time.
"""

from collections.abc import Container, Iterable, KeysView, Mapping
from dataclasses import dataclass
from typing import Final

from services.producer.sequencer import SymbolCursor

MAX_BACKOFF_S: Final = 60.0  # between two responses without news: a halted symbol costs little
MIN_BACKOFF_S: Final = 0.25
MAX_DOUBLINGS: Final = 10
MAX_AWAITED_REQUESTS: Final = 3  # without news, after which other symbols do not wait


@dataclass(slots=True)
class _SymbolSchedule:
    is_urgent: bool = True
    in_flight: bool = False
    not_before_s: float = 0.0
    fruitless_requests: int = 0
    overdue_since_s: float | None = None
    is_backfilled: bool = False


class BackfillSchedule:
    """Requests to make, one at a time per symbol. Times in seconds are the monotonic clock's."""

    def __init__(self, symbols: Iterable[str], interval_ms: int, grace_s: float) -> None:
        """Schedule a first request for every symbol at once."""
        self._symbols = {symbol: _SymbolSchedule() for symbol in symbols}
        self.interval_ms, self._grace_s = interval_ms, grace_s

    @property
    def symbols(self) -> KeysView[str]:
        """The symbols that are scheduled."""
        return self._symbols.keys()

    def follow(self, symbols: Iterable[str]) -> None:
        """Add symbols, and schedule a first request for each at once."""
        for symbol in symbols:
            self._symbols.setdefault(symbol, _SymbolSchedule())

    def unfollow(self, symbol: str) -> None:
        """Request a symbol no more."""
        self._symbols.pop(symbol, None)

    def take_due(
        self, cursors: Mapping[str, SymbolCursor], server_ms: int, now_s: float
    ) -> list[SymbolCursor]:
        """Return the cursors to request klines from now, and mark their requests as in flight."""
        due = [each for each in cursors.values() if self._is_due(each, server_ms, now_s)]
        for cursor in due:
            self._symbols[cursor.symbol].in_flight = True
        return due

    def expedite(self, symbol: str) -> None:
        """Request a symbol at once: its stream is ahead of the log."""
        schedule = self._symbols[symbol]
        schedule.is_urgent, schedule.not_before_s, schedule.fruitless_requests = True, 0.0, 0

    def catch_up(self, cursors: Mapping[str, SymbolCursor], server_ms: int) -> None:
        """Expedite the symbols that may have missed a close while the stream was interrupted."""
        for symbol in self.symbols_behind(cursors, server_ms):
            self.expedite(symbol)

    def symbols_behind(self, cursors: Mapping[str, SymbolCursor], server_ms: int) -> list[str]:
        """Return the symbols with a closed candle that is not in the log."""
        return [each.symbol for each in cursors.values() if self._is_behind(each, server_ms)]

    def on_response(self, symbol: str, now_s: float, *, advanced: bool, has_more: bool) -> None:
        """Record a response.

        Args:
            symbol: the symbol requested.
            now_s: the time now.
            advanced: the symbol's cursor moved.
            has_more: another request is needed at once.
        """
        schedule = self._symbols[symbol]
        schedule.in_flight, schedule.overdue_since_s = False, None
        schedule.is_urgent = has_more
        schedule.is_backfilled = schedule.is_backfilled or not has_more
        schedule.fruitless_requests = 0 if advanced else schedule.fruitless_requests + 1
        schedule.not_before_s = now_s if advanced else now_s + self._backoff_s(schedule)

    def on_failure(self, symbol: str, now_s: float) -> None:
        """Record a request that got no response."""
        schedule = self._symbols.get(symbol)
        if schedule is None:  # not followed any longer
            return
        schedule.in_flight, schedule.is_urgent = False, True
        schedule.fruitless_requests += 1
        schedule.not_before_s = now_s + self._backoff_s(schedule)

    def awaited_from_ms(
        self, cursors: Mapping[str, SymbolCursor], held: Container[str]
    ) -> int | None:
        """Return the earliest open time of a request that is due or in flight; None without one.

        A symbol whose requests keep failing is not waited for.

        Args:
            cursors: where each symbol is.
            held: the symbols whose response has arrived, but is not recorded yet.
        """
        awaited = [
            cursor.next_open_time_ms
            for symbol, cursor in cursors.items()
            if symbol not in held and self._is_awaited(self._symbols[symbol])
        ]
        return min(awaited, default=None)

    def pending_backfills(self) -> list[str]:
        """Return the symbols whose history has not been fetched to its end since the start."""
        return [symbol for symbol, each in self._symbols.items() if not each.is_backfilled]

    def _is_awaited(self, schedule: _SymbolSchedule) -> bool:
        if schedule.fruitless_requests >= MAX_AWAITED_REQUESTS:
            return False
        return schedule.in_flight or schedule.is_urgent

    def _backoff_s(self, schedule: _SymbolSchedule) -> float:
        doublings = min(schedule.fruitless_requests - 1, MAX_DOUBLINGS)
        return float(min(MAX_BACKOFF_S, max(MIN_BACKOFF_S, self._grace_s) * 2**doublings))

    def _is_behind(self, cursor: SymbolCursor, server_ms: int) -> bool:
        return server_ms >= cursor.next_open_time_ms + self.interval_ms

    def _is_due(self, cursor: SymbolCursor, server_ms: int, now_s: float) -> bool:
        schedule = self._symbols[cursor.symbol]
        if not self._is_behind(cursor, server_ms):
            schedule.overdue_since_s = None
        elif schedule.overdue_since_s is None:
            schedule.overdue_since_s = now_s
        if schedule.in_flight or now_s < schedule.not_before_s:
            return False
        since_s = schedule.overdue_since_s
        return schedule.is_urgent or (since_s is not None and now_s - since_s >= self._grace_s)
