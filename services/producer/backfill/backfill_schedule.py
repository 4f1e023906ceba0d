"""Decide which symbols to request from REST, and when. PURE: the clocks are arguments.

A candle is overdue once the exchange's time has passed its close for a grace period of real time:
the stream of a symbol that nobody trades may never announce the close. The exchange's time may run
faster than real time.
"""

from collections.abc import Container, Iterable, KeysView, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from services.producer.backfill.sequencer import SymbolCursor
from services.producer.rest.first_requests import FirstRequests

MAX_BACKOFF_S: Final = 60.0  # between two responses without news: a halted symbol costs little
MAX_FAILURE_BACKOFF_S: Final = 30.0
MIN_REFUSAL_BACKOFF_S, MAX_REFUSAL_BACKOFF_S = 30.0, 300.0  # of a symbol that REST does not know
MAX_NEWLY_REFUSED: Final = 3  # in a row: then it is not the symbols that are wrong
MIN_BACKOFF_S: Final = 0.25
MAX_DOUBLINGS: Final = 10
MAX_AWAITED_REQUESTS: Final = 3  # without news, after which other symbols do not wait
# Longer than requests for 1,000 symbols wait for their turn: what takes longer is lost.
MAX_IN_FLIGHT_S: Final = 120.0
# An exchange that fails so often in a row is asked for one symbol at a time until it responds.
MAX_FAILURES: Final = 5
PROBE_INTERVAL_S: Final = 3.0


@dataclass(slots=True)
class _SymbolSchedule:
    is_urgent: bool = True
    in_flight: bool = False
    requested_s: float = -inf
    not_before_s: float = 0.0
    fruitless_requests: int = 0
    overdue_since_s: float | None = None
    is_backfilled: bool = False
    is_doubtful: bool = False  # it is requested at the pace of its doubt, whatever else happens
    has_failed: bool = False
    refusals: int = 0  # in a row


class BackfillSchedule:
    """Requests to make, one at a time per symbol. Times in seconds are the monotonic clock's."""

    def __init__(self, symbols: Iterable[str], interval_ms: int, grace_s: float) -> None:
        """Schedule a first request for every symbol at once."""
        self._symbols = {symbol: _SymbolSchedule() for symbol in symbols}
        self.interval_ms, self._grace_s = interval_ms, grace_s
        self._failures = 0  # in a row, of any symbol
        self._next_probe_s = 0.0
        self._newly_refused = set[str]()  # since the last response
        self._first_requests = FirstRequests(interval_ms)

    @property
    def symbols(self) -> KeysView[str]:
        """The symbols that are scheduled, also as they change."""
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
        wanted = [each for each in cursors.values() if self._is_wanted(each, server_ms, now_s)]
        first = sum(self._symbols[each.symbol].requested_s == -inf for each in wanted)
        if first and not self._first_requests.may_go(first, server_ms, now_s):
            return []
        due = (
            self._probe(wanted, now_s)
            if self._failures >= MAX_FAILURES
            else [each for each in wanted if now_s >= self._symbols[each.symbol].not_before_s]
        )
        for cursor in due:
            schedule = self._symbols[cursor.symbol]
            schedule.in_flight, schedule.requested_s = True, now_s
        return due

    def take_lost(self, held: Container[str], now_s: float) -> list[str]:
        """Return the symbols whose request was never answered; to be recorded as failures.

        Args:
            held: the symbols whose response has arrived, but is not recorded yet.
            now_s: the time now.
        """
        return [
            symbol
            for symbol, each in self._symbols.items()
            if each.in_flight and now_s - each.requested_s >= MAX_IN_FLIGHT_S and symbol not in held
        ]

    def expedite(self, symbol: str) -> None:
        """Request a symbol at once, if its next candle is not in doubt: its stream is ahead."""
        schedule = self._symbols[symbol]
        schedule.is_urgent = True
        if not (schedule.is_doubtful or schedule.refusals):
            schedule.not_before_s, schedule.fruitless_requests = 0.0, 0

    def catch_up(self, cursors: Mapping[str, SymbolCursor], server_ms: int) -> None:
        """Expedite the symbols that may have missed a close while the stream was interrupted."""
        for symbol in self.symbols_behind(cursors, server_ms):
            self.expedite(symbol)

    def symbols_behind(self, cursors: Mapping[str, SymbolCursor], server_ms: int) -> list[str]:
        """Return the symbols with a closed candle that is not in the log."""
        return [each.symbol for each in cursors.values() if self._is_behind(each, server_ms)]

    def on_advance(self, symbol: str) -> None:
        """Record that the stream gave the candle that was to come next: no doubt is left."""
        schedule = self._symbols[symbol]
        if schedule.is_doubtful:
            schedule.is_doubtful, schedule.not_before_s = False, 0.0

    def on_answer(self) -> None:
        """Request failed symbols at once, if the exchange did not respond until now."""
        if self._failures >= MAX_FAILURES:
            for schedule in self._symbols.values():
                if schedule.has_failed:
                    schedule.not_before_s, schedule.fruitless_requests = 0.0, 0
        self._failures = 0

    def on_response(
        self,
        symbol: str,
        now_s: float,
        *,
        advanced: bool,
        has_more: bool,
        doubt_wait_s: float | None = None,
    ) -> None:
        """Record a response.

        Args:
            symbol: the symbol requested.
            now_s: the time now.
            advanced: the symbol's cursor moved.
            has_more: another request is needed at once.
            doubt_wait_s: how long to wait before the next request, if the next candle is in doubt.
        """
        self._forgive_refused()
        schedule = self._symbols[symbol]
        schedule.in_flight, schedule.has_failed, schedule.overdue_since_s = False, False, None
        schedule.refusals = 0
        schedule.is_doubtful = doubt_wait_s is not None
        schedule.is_urgent = has_more or schedule.is_doubtful
        schedule.is_backfilled = schedule.is_backfilled or not schedule.is_urgent
        schedule.fruitless_requests = 0 if advanced else schedule.fruitless_requests + 1
        wait_s = 0.0 if advanced else self._backoff_s(schedule, MAX_BACKOFF_S)
        schedule.not_before_s = now_s + (wait_s if doubt_wait_s is None else doubt_wait_s)

    def on_failure(self, symbol: str, now_s: float, *, has_answered: bool = False) -> None:
        """Record a request that got no usable response.

        Args:
            symbol: the symbol requested.
            now_s: the time now.
            has_answered: the exchange responds, but not with what was requested.
        """
        self._failures += not has_answered
        schedule = self._symbols.get(symbol)
        if schedule is None:  # not followed any longer
            return
        schedule.in_flight, schedule.is_urgent, schedule.has_failed = False, True, not has_answered
        schedule.fruitless_requests += 1
        schedule.not_before_s = now_s + self._backoff_s(schedule, MAX_FAILURE_BACKOFF_S)

    def on_refusal(self, symbol: str, now_s: float) -> bool:
        """Record that the exchange refuses a symbol; return whether that is new."""
        schedule = self._symbols.get(symbol)
        if schedule is None:  # not followed any longer
            return False
        # An exchange that refuses all symbols has a fault of its own.
        if not schedule.refusals and len(self._newly_refused) >= MAX_NEWLY_REFUSED:
            self.on_failure(symbol, now_s)
            return False
        self._newly_refused |= set() if schedule.refusals else {symbol}
        wait_s = min(MAX_REFUSAL_BACKOFF_S, MIN_REFUSAL_BACKOFF_S * 2**schedule.refusals)
        schedule.in_flight, schedule.is_urgent = False, True
        schedule.not_before_s = now_s + wait_s
        schedule.refusals = min(MAX_DOUBLINGS, schedule.refusals + 1)
        return schedule.refusals == 1

    def on_traded(self, symbols: Iterable[str]) -> None:
        """Request symbols that were refused at once: the exchange trades them now."""
        for schedule in map(self._symbols.get, symbols):
            if schedule is not None and schedule.refusals:
                schedule.not_before_s, schedule.refusals = 0.0, 0

    def refused_symbols(self) -> list[str]:
        """Return the symbols that the exchange refuses; nobody waits for them."""
        return [symbol for symbol, each in self._symbols.items() if each.refusals]

    def awaited_from_ms(
        self, cursors: Mapping[str, SymbolCursor], held: Container[str]
    ) -> int | None:
        """Return the earliest open time of a request that is due or in flight; None without one.

        A symbol whose requests keep failing, or whose next candle is in doubt, is not waited for.

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
        """Return the symbols whose history has not been fetched to its end since the start.

        One that the exchange refuses is not among them.
        """
        return [
            symbol
            for symbol, each in self._symbols.items()
            if not each.is_backfilled and not each.refusals
        ]

    def _forgive_refused(self) -> None:
        """Request refused symbols at once, if the exchange refused everything until now."""
        if len(self._newly_refused) >= MAX_NEWLY_REFUSED:
            for schedule in map(self._symbols.get, self._newly_refused):
                if schedule is not None:
                    schedule.not_before_s, schedule.refusals = 0.0, 0
        self._newly_refused.clear()

    def _probe(self, wanted: Iterable[SymbolCursor], now_s: float) -> list[SymbolCursor]:
        """Return one symbol to request, the one that was requested longest ago, once in a while."""
        oldest = min(wanted, key=lambda each: self._symbols[each.symbol].requested_s, default=None)
        if oldest is None or now_s < self._next_probe_s:
            return []
        self._next_probe_s = now_s + PROBE_INTERVAL_S
        return [oldest]

    def _is_awaited(self, schedule: _SymbolSchedule) -> bool:
        if schedule.is_doubtful or schedule.refusals:
            return False
        if schedule.fruitless_requests >= MAX_AWAITED_REQUESTS:
            return False
        return schedule.in_flight or schedule.is_urgent

    def _backoff_s(self, schedule: _SymbolSchedule, max_s: float) -> float:
        doublings = min(schedule.fruitless_requests - 1, MAX_DOUBLINGS)
        return float(min(max_s, max(MIN_BACKOFF_S, self._grace_s) * 2**doublings))

    def _is_behind(self, cursor: SymbolCursor, server_ms: int) -> bool:
        return server_ms >= cursor.next_open_time_ms + self.interval_ms

    def _is_wanted(self, cursor: SymbolCursor, server_ms: int, now_s: float) -> bool:
        """Return whether a symbol is to be requested as soon as its turn comes."""
        schedule = self._symbols[cursor.symbol]
        if not self._is_behind(cursor, server_ms):
            schedule.overdue_since_s = None
        elif schedule.overdue_since_s is None:
            schedule.overdue_since_s = now_s
        since_s = schedule.overdue_since_s
        is_overdue = since_s is not None and now_s - since_s >= self._grace_s
        return not schedule.in_flight and (schedule.is_urgent or is_overdue)
