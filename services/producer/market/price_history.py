"""Decide which symbols that are followed for their prices alone to request from REST. PURE.

Their closes are wanted where a held response needs them, and once after each connection of the
stream, for the close before the candle that is open then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.producer.backfill.backfill_schedule import MAX_IN_FLIGHT_S

MAX_FAILURES: Final = 2  # in a row, after which a symbol is not waited for


@dataclass(slots=True)
class _Answered:
    """The closes of a symbol that REST has given, from one open time up to another, excluded."""

    from_ms: int = 0
    until_ms: int = 0
    in_flight: bool = False
    requested_s: float = 0.0
    failures: int = 0


class PriceHistory:
    """Requests to make, one at a time for each symbol."""

    def __init__(self, symbols: Iterable[str]) -> None:
        """Start without any close."""
        self._answered = {symbol: _Answered() for symbol in symbols}
        self._wanted_ms: tuple[int, int] | None = None

    def __contains__(self, symbol: str) -> bool:
        """Return whether a symbol is followed for its prices alone."""
        return symbol in self._answered

    def set_symbols(self, symbols: Iterable[str]) -> None:
        """Replace the symbols; those that stay keep what is known of them."""
        self._answered = {each: self._answered.get(each, _Answered()) for each in symbols}

    def want(self, first_ms: int, last_ms: int) -> None:
        """Want the closes of the candles that open from one time through another."""
        if self._wanted_ms != (first_ms, last_ms):
            self._wanted_ms = (first_ms, last_ms)
            for answered in self._answered.values():
                answered.failures = 0

    def want_nothing(self) -> None:
        """Want no closes any longer."""
        self._wanted_ms = None

    def take_due(self, now_s: float) -> list[tuple[str, int]]:
        """Return symbols with the open time to request from; marks them as in flight."""
        due = []
        for symbol, answered in self._answered.items():
            if answered.in_flight and now_s - answered.requested_s >= MAX_IN_FLIGHT_S:
                self.on_failure(symbol)
            if not answered.in_flight and self._is_missing(answered):
                answered.in_flight, answered.requested_s = True, now_s
                due.append((symbol, self._next_ms(answered)))
        return due

    def on_response(self, symbol: str, from_ms: int, until_ms: int) -> None:
        """Record a response that has every close from one open time up to another, excluded."""
        answered = self._answered.get(symbol)
        if answered is None:
            return
        continues = answered.from_ms <= from_ms <= answered.until_ms
        is_news = not continues or until_ms > answered.until_ms
        answered.from_ms = answered.from_ms if continues else from_ms
        answered.until_ms, answered.in_flight = until_ms, False
        answered.failures = 0 if is_news else answered.failures + 1

    def on_failure(self, symbol: str) -> None:
        """Record a request that got no response."""
        if symbol in self._answered:
            self._answered[symbol].in_flight = False
            self._answered[symbol].failures += 1

    def forget_before(self, open_ms: int) -> None:
        """Request closes before an open time again if they are wanted: they were dropped."""
        for answered in self._answered.values():
            answered.from_ms = max(answered.from_ms, open_ms)

    def awaited_from_ms(self) -> int | None:
        """Return the earliest open time that is still wanted; None if nothing is."""
        missing = [each for each in self._answered.values() if self._is_missing(each)]
        return min(map(self._next_ms, missing), default=None)

    def _is_missing(self, answered: _Answered) -> bool:
        if self._wanted_ms is None or answered.failures >= MAX_FAILURES:
            return False
        first_ms, last_ms = self._wanted_ms
        return not (answered.from_ms <= first_ms and last_ms < answered.until_ms)

    def _next_ms(self, answered: _Answered) -> int:
        first_ms, _ = self._wanted_ms or (0, 0)
        covers_first = answered.from_ms <= first_ms < answered.until_ms
        return answered.until_ms if covers_first else first_ms
