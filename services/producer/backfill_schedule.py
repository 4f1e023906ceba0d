"""Which symbols to ask REST about, and when. PURE: the clocks are arguments.

A candle is overdue once exchange time has passed its close for a grace of real time: a quiet symbol's stream may never
say that it closed. Exchange time itself may run faster than real time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from services.producer.sequencer import SymbolCursor

LONGEST_WAIT_S: Final = 60.0  # between two asks that gave nothing: a halted symbol costs little
LEAST_WAIT_S: Final = 0.25


@dataclass(slots=True)
class _Item:
    urgent: bool = True
    in_flight: bool = False
    not_before_s: float = 0.0
    fruitless: int = 0
    overdue_since_s: float | None = None
    caught_up: bool = False


class BackfillSchedule:
    """What is to be asked. Times in seconds are the monotonic clock's."""

    def __init__(self, symbols: Iterable[str], step_ms: int, grace_s: float) -> None:
        """Start with every symbol to be asked about at once."""
        self._items = {symbol: _Item() for symbol in symbols}
        self._step_ms, self._grace_s = step_ms, grace_s

    def due(
        self, places: Mapping[str, SymbolCursor], exchange_ms: int, now_s: float
    ) -> list[SymbolCursor]:
        """Return the places to ask about now, and count them as asked."""
        found = [
            place
            for place in places.values()
            if self._is_due(self._items[place.symbol], place, exchange_ms, now_s)
        ]
        for place in found:
            self._items[place.symbol].in_flight = True
        return found

    def expedite(self, symbol: str) -> None:
        """Ask about a symbol as soon as may be: its stream is ahead of the log."""
        item = self._items[symbol]
        item.urgent, item.not_before_s, item.fruitless = True, 0.0, 0

    def catch_up(self, places: Mapping[str, SymbolCursor], exchange_ms: int) -> None:
        """Ask at once about symbols that may have missed a close: the stream was interrupted."""
        for place in places.values():
            if exchange_ms >= place.next_ms + self._step_ms:
                self.expedite(place.symbol)

    def on_response(self, symbol: str, now_s: float, *, moved: bool, full: bool) -> None:
        """Take note of an answer.

        Args:
            symbol: whose.
            now_s: now.
            moved: the symbol stands further than before.
            full: the exchange has more, or has something that is to be asked for again.
        """
        item = self._items[symbol]
        item.in_flight, item.overdue_since_s = False, None
        item.urgent = full
        item.caught_up = item.caught_up or not full
        item.fruitless = 0 if moved else item.fruitless + 1
        item.not_before_s = now_s if moved else now_s + self._wait_s(item)

    def failed(self, symbol: str, now_s: float) -> None:
        """Take note that there was no answer."""
        item = self._items[symbol]
        item.in_flight, item.urgent = False, True
        item.fruitless += 1
        item.not_before_s = now_s + self._wait_s(item)

    def behind(self) -> list[str]:
        """Return the symbols whose history has not been fetched yet since the start."""
        return [symbol for symbol, item in self._items.items() if not item.caught_up]

    def _wait_s(self, item: _Item) -> float:
        least = max(LEAST_WAIT_S, self._grace_s)
        return float(min(LONGEST_WAIT_S, least * 2 ** min(item.fruitless - 1, 10)))

    def _is_due(self, item: _Item, place: SymbolCursor, exchange_ms: int, now_s: float) -> bool:
        if exchange_ms < place.next_ms + self._step_ms:
            item.overdue_since_s = None
        elif item.overdue_since_s is None:
            item.overdue_since_s = now_s
        if item.in_flight or now_s < item.not_before_s:
            return False
        return item.urgent or (
            item.overdue_since_s is not None and now_s - item.overdue_since_s >= self._grace_s
        )
