"""REST responses that wait until the market's move in their candles is known. PURE.

A back-fill asks for many symbols at once, page by page; the market's move of a page is known when
the pages of the others are there. A response waits until

1. candles of other symbols have the move at its first and at its last candle already, or
2. no request is left that could still give a close up to its last candle, or
3. it has waited long enough: then its candles have the move of what is known, or none.

Candles of the stream do not wait.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from services.producer.backfill.checked_page import CheckedPage

MAX_HOLD_S: Final = 60.0  # a page of 1,000 symbols takes about half of it
MAX_ROWS_AT_ONCE: Final = 4_000  # candles of the stream come in between
MAX_HELD_CANDLES: Final = 250_000  # about 120 MB
MIN_PAGE_ROWS, MAX_PAGE_ROWS = 100, 1_000


def rows_of_page(symbols: int) -> int:
    """Return how many klines to request at once, so that a page of each symbol can be held.

    >>> [rows_of_page(symbols) for symbols in (20, 1_000, 9_000)]
    [1000, 250, 100]
    """
    return max(MIN_PAGE_ROWS, min(MAX_PAGE_ROWS, MAX_HELD_CANDLES // max(1, symbols)))


@dataclass(frozen=True, slots=True)
class _Held:
    response: CheckedPage
    since_s: float

    @property
    def first_ms(self) -> int:
        return self.response.span_ms[0]

    @property
    def last_ms(self) -> int:
        return self.response.span_ms[1]


class HeldResponses:
    """Holds one response of a symbol at most. Times in seconds are the monotonic clock's."""

    def __init__(self, is_recorded: Callable[[int], bool]) -> None:
        """Start empty.

        Args:
            is_recorded: tells whether a candle of this open time has the market's move already.
        """
        self._is_recorded = is_recorded
        self._held: dict[str, _Held] = {}

    @property
    def symbols(self) -> frozenset[str]:
        """The symbols whose response is held."""
        return frozenset(self._held)

    def add(self, response: CheckedPage, now_s: float) -> None:
        """Hold a page that has candles."""
        self._held[response.symbol] = _Held(response, now_s)

    def drop(self, symbol: str) -> None:
        """Forget a symbol's response, if one is held."""
        self._held.pop(symbol, None)

    def oldest_span_ms(self) -> tuple[int, int] | None:
        """Return the first and the last open time of the oldest response; None if none is held."""
        oldest = min(self._held.values(), key=lambda each: each.first_ms, default=None)
        return None if oldest is None else (oldest.first_ms, oldest.last_ms)

    def release(self, awaited_from_ms: int | None, now_s: float) -> list[CheckedPage]:
        """Remove and return responses that need not wait any longer, the oldest candles first.

        Args:
            awaited_from_ms: the earliest open time of an unanswered request; None if there is none.
            now_s: the time now.
        """
        ends_ms = {ms for each in self._held.values() for ms in (each.first_ms, each.last_ms)}
        recorded_ms = {each for each in ends_ms if self._is_recorded(each)}
        awaited_ms = self._with_next_pages(awaited_from_ms)
        released, rows = list[CheckedPage](), 0
        for held in sorted(self._held.values(), key=lambda each: each.first_ms):
            may_go = (
                awaited_ms > held.last_ms
                or now_s - held.since_s >= MAX_HOLD_S
                or {held.first_ms, held.last_ms} <= recorded_ms
            )
            if may_go and rows < MAX_ROWS_AT_ONCE:
                released.append(held.response)
                rows += len(held.response.candles)
        for response in released:
            del self._held[response.symbol]
        return released

    def _with_next_pages(self, awaited_from_ms: int | None) -> float:
        """Return the earliest open time that is awaited, those of the held ones' next pages too."""
        pages = (each.response for each in self._held.values())
        next_ms = [each.complete_until_ms for each in pages if each.has_more]
        return min(next_ms if awaited_from_ms is None else [*next_ms, awaited_from_ms], default=inf)
