"""Decide when the log is told that a symbol was listed, halted, resumed, delisted or removed. PURE.

The log says each status once, at its place among the symbol's candles:

1. `listed` stands before the first candle, in the same transaction.
2. `halted` waits for the last candle: the one that was open when it was noticed, or a while after
   its end without it.
3. `delisted` waits for silence: while candles go on, nothing has ended, whatever is listed.
4. `resumed` and `removed` wait for nothing. The first is written only after `halted`, which then
   waits no longer.

What the log says already is not written again, so observations may be repeated after a restart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.producer.backfill.sequencer import LogEntry, ReceivedCandle, SymbolCursor
from services.producer.events import ObservedStatus, SymbolsChanged
from shared.core.records import StatusName, SymbolStatus

LAST_CANDLE_S: Final = 10.0  # after its end, in which a last candle may still come
HELD_CANDLES_S: Final = 900.0  # in which candles after a hole may still be appended
_ENDS: Final = frozenset(("delisted", "removed"))
_REASON_UNKNOWN: Final = "followed"


@dataclass(slots=True)
class _Waiting:
    """A status that is not in the log yet."""

    observed: ObservedStatus
    last_open_ms: int  # of the candle that was open when it was noticed
    halted: ObservedStatus | None = None  # to be written before it
    awaited_ms: int = 0  # open time of the candle that is waited for
    closed_since_s: float | None = None  # the exchange's clock has passed its end


@dataclass(slots=True)
class StatusBook:
    """The status of each symbol in the log, and those that wait to be written."""

    interval_ms: int
    _reasons: dict[str, str] = field(default_factory=dict)
    _logged: dict[str, StatusName] = field(default_factory=dict)
    _beginning: set[str] = field(default_factory=set)  # without a candle since they were listed
    _waiting: dict[str, _Waiting] = field(default_factory=dict)

    @property
    def halted(self) -> frozenset[str]:
        """The symbols that are halted."""
        return frozenset(symbol for symbol, name in self._logged.items() if name == "halted")

    def observe(self, change: SymbolsChanged, now_ms: int) -> None:
        """Take what is certain now; it replaces what waits of the same symbol."""
        self._reasons |= change.joining
        open_ms = now_ms // self.interval_ms * self.interval_ms
        for each in change.observed:
            before = self._waiting.get(each.symbol)
            halted = None if before is None else before.halted
            if before is not None and before.observed.status == "halted":
                halted = before.observed
            self._waiting[each.symbol] = _Waiting(each, open_ms, halted)

    def place(self, cursors: Iterable[SymbolCursor]) -> None:
        """Take what the log says of symbols, whenever it was read."""
        for cursor in cursors:
            self._logged.pop(cursor.symbol, None)
            self._beginning.discard(cursor.symbol)
            if cursor.status is not None:
                self._logged[cursor.symbol] = cursor.status
            if cursor.is_new:
                self._beginning.add(cursor.symbol)

    def announce(self, entries: Sequence[LogEntry]) -> list[LogEntry]:
        """Return the entries with `listed` before the first candle of each new symbol."""
        announced, beginning = list[LogEntry](), set(self._beginning)
        for entry in entries:
            if isinstance(entry, ReceivedCandle) and entry.symbol in beginning:
                beginning.discard(entry.symbol)
                announced.append(self._listed(entry))
            announced.append(entry)
        return announced

    def take_due(
        self, cursors: Mapping[str, SymbolCursor], now_ms: int, now_s: float
    ) -> list[SymbolStatus]:
        """Return the statuses to append now; what the log says already is dropped.

        Args:
            cursors: where each symbol is once the candles before are appended.
            now_ms: the exchange's time.
            now_s: the monotonic clock.
        """
        due = []
        for symbol, waiting in list(self._waiting.items()):
            cursor = cursors.get(symbol)
            if cursor is None or not self._is_due(waiting, cursor, now_ms, now_s):
                continue
            news = self._find_news(waiting)
            at_ms = cursor.next_open_time_ms
            due += [SymbolStatus(symbol, at_ms, each.status, each.reason) for each in news]
            if not news and not self._may_become_news(waiting.observed):
                del self._waiting[symbol]
        return due

    def on_committed(self, entries: Iterable[LogEntry]) -> None:
        """Record what is in the log now."""
        for entry in entries:
            if isinstance(entry, SymbolStatus):
                self._logged[entry.symbol] = entry.status
                waiting = self._waiting.get(entry.symbol)
                is_answered = waiting is not None and waiting.observed.status == entry.status
                if is_answered and not entry.ends_symbol:
                    del self._waiting[entry.symbol]
            elif isinstance(entry, ReceivedCandle):
                self._beginning.discard(entry.symbol)

    def take_ended(self, cursors: Mapping[str, SymbolCursor]) -> list[str]:
        """Remove and return the symbols whose end is in the log, or that never were in it."""
        ended = [
            symbol
            for symbol, waiting in self._waiting.items()
            if waiting.observed.status in _ENDS
            and symbol in cursors
            and not self._is_news(waiting.observed)
        ]
        for symbol in ended:
            del self._waiting[symbol]
            self._logged.pop(symbol, None)
            self._beginning.discard(symbol)
        return ended

    def _listed(self, candle: ReceivedCandle) -> SymbolStatus:
        reason = self._reasons.get(candle.symbol, _REASON_UNKNOWN)
        return SymbolStatus(candle.symbol, candle.open_time_ms, "listed", reason)

    def _find_news(self, waiting: _Waiting) -> list[ObservedStatus]:
        """Return what the log has to be told of a symbol, in order."""
        halted, observed = waiting.halted, waiting.observed
        if halted is None or not self._is_news(halted):
            return [observed] if self._is_news(observed) else []
        return [halted, observed] if observed.status != "halted" else [observed]

    def _is_news(self, observed: ObservedStatus) -> bool:
        logged = self._logged.get(observed.symbol)
        if observed.status == "resumed":
            return logged == "halted"
        is_in_log = observed.symbol not in self._beginning or logged == "listed"
        has_ended = logged in _ENDS
        return is_in_log and logged != observed.status and not has_ended

    def _may_become_news(self, observed: ObservedStatus) -> bool:
        """Return whether to keep what is no news now: an end, or a halt before the history."""
        is_beginning = observed.symbol in self._beginning
        return observed.status in _ENDS or (observed.status == "halted" and is_beginning)

    def _is_due(self, waiting: _Waiting, cursor: SymbolCursor, now_ms: int, now_s: float) -> bool:
        observed, next_ms = waiting.observed, cursor.next_open_time_ms
        if observed.status == "delisted":
            awaited_ms, limit_s = next_ms, observed.silence_s
        elif observed.status == "halted" and next_ms <= waiting.last_open_ms:
            awaited_ms, limit_s = waiting.last_open_ms, LAST_CANDLE_S
        else:
            return True
        if now_ms < awaited_ms + self.interval_ms:
            return False
        if waiting.closed_since_s is None or waiting.awaited_ms != awaited_ms:
            waiting.awaited_ms, waiting.closed_since_s = awaited_ms, now_s
        limit_s = max(limit_s, HELD_CANDLES_S) if cursor.early else limit_s
        return now_s - waiting.closed_since_s >= limit_s
