"""The prices heard of the market's symbols, by candle. PURE: it has no clock and does no I/O.

What the market did in an interval is the change of each symbol from its close of the candle before
to its newest price in the interval. A price of a later interval never enters it, whatever the order
in which the messages arrive.

A stream sends an open kline with each change of price, so a symbol that is silent on a connected
stream has not moved. That is no longer known once its connection is interrupted, or if the whole
connection was silent at the interval's end: then a price counts only if it was heard shortly before
that end.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.producer.market.carried_symbols import (
    NO_SPELL,
    CarriedSymbols,
    StreamCarries,
    StreamInterrupted,
)
from shared.core.market import change_ppb

# Candles behind the newest one whose prices are kept: longer than an early candle waits.
KEPT_MOMENTS: Final = 40


@dataclass(frozen=True, slots=True)
class HeardPrice:
    """The price in a kline of the stream: its newest while it is open, then its close.

    `event_ms` is the exchange's time of the message; a close needs none.
    """

    symbol: str
    open_time_ms: int
    price: float
    event_ms: int = 0
    is_close: bool = False


PriceEvent = HeardPrice | StreamCarries | StreamInterrupted


class _Price(NamedTuple):
    price: float
    event_ms: int
    is_close: bool
    spell: int  # of `CarriedSymbols`, in which it was heard


class PriceBook:
    """The newest price of each symbol in each candle."""

    def __init__(self, symbols: Iterable[str], interval_ms: int, max_age_ms: int) -> None:
        """Start without a price.

        Args:
            symbols: the market's symbols; prices of others are ignored.
            interval_ms: milliseconds between two open times.
            max_age_ms: how long before an interval's end a price may have been heard, if the stream
                was interrupted or silent since.
        """
        self.interval_ms, self._max_age_ms = interval_ms, max_age_ms
        self._prices: dict[str, dict[int, _Price]] = {symbol: {} for symbol in symbols}
        self._closes: dict[int, int] = {}  # by open time: the closes that REST gave
        self._carried = CarriedSymbols()
        self.newest_open_ms = 0

    @property
    def symbols(self) -> Collection[str]:
        """The market's symbols."""
        return self._prices.keys()

    def set_symbols(self, symbols: Iterable[str]) -> None:
        """Replace the market's symbols; those that stay keep their prices."""
        self._prices = {symbol: self._prices.get(symbol, {}) for symbol in symbols}

    def hear(self, heard: PriceEvent) -> None:
        """Take what the stream told next."""
        if not isinstance(heard, HeardPrice):
            self._carried.take(heard)
            return
        open_ms, event_ms = heard.open_time_ms, heard.event_ms
        if heard.is_close:
            event_ms = open_ms + self.interval_ms
        spell = self._carried.hear(heard.symbol, open_ms, event_ms)
        self.newest_open_ms = max(self.newest_open_ms, open_ms)
        prices = self._prices.get(heard.symbol)
        if prices is None:
            return
        known = prices.get(open_ms)
        is_older = known is not None and (known.is_close or known.event_ms > event_ms)
        if heard.is_close or not is_older:
            prices[open_ms] = _Price(heard.price, event_ms, heard.is_close, spell)

    def add_close(self, symbol: str, open_ms: int, close: float) -> None:
        """Take a close that REST gave."""
        prices = self._prices.get(symbol)
        if prices is None:
            return
        spell = self._carried.spell_at(symbol, open_ms)
        prices[open_ms] = _Price(close, open_ms + self.interval_ms, True, spell)
        self._closes[open_ms] = self._closes.get(open_ms, 0) + 1
        self.newest_open_ms = max(self.newest_open_ms, open_ms)

    def count_closes(self, open_ms: int) -> int:
        """Return how many closes REST gave of a candle and of the one before."""
        return self._closes.get(open_ms - self.interval_ms, 0) + self._closes.get(open_ms, 0)

    def changes_ppb(self, open_ms: int) -> dict[str, int]:
        """Return the change in an interval of each symbol that is known, in ppb."""
        return {
            symbol: change_ppb(before.price, newest.price)
            for symbol, before, newest in self._known(open_ms)
        }

    def count_known(self, open_ms: int) -> int:
        """Return of how many symbols the change in an interval is known."""
        return sum(1 for _ in self._known(open_ms))

    def ages_ms(self, open_ms: int) -> list[int]:
        """Return how long before the interval's end each known price was heard."""
        end_ms = open_ms + self.interval_ms
        return [max(0, end_ms - newest.event_ms) for _, _, newest in self._known(open_ms)]

    def forget_before(self, open_ms: int) -> int:
        """Drop the prices of old candles, but for each symbol's newest price.

        Args:
            open_ms: prices from this open time on are still needed, and recent ones in any case.

        Returns:
            The open time from which on prices were kept.
        """
        limit_ms = min(open_ms, self.newest_open_ms - KEPT_MOMENTS * self.interval_ms)
        for prices in self._prices.values():
            newest_ms = max(prices, default=0)
            for old_ms in [each for each in prices if each < limit_ms and each != newest_ms]:
                del prices[old_ms]
        self._closes = {each: count for each, count in self._closes.items() if each >= limit_ms}
        return limit_ms

    def _known(self, open_ms: int) -> Iterator[tuple[str, _Price, _Price]]:
        before_ms = open_ms - self.interval_ms
        for symbol in self._prices:
            newest = self._at(symbol, open_ms)
            before = None if newest is None else self._at(symbol, before_ms)
            if newest is not None and before is not None:
                yield symbol, before, newest

    def _at(self, symbol: str, open_ms: int) -> _Price | None:
        """Return the price at the end of a candle, or None if it is not known well enough."""
        heard = self._prices[symbol].get(open_ms)
        if heard is not None and heard.is_close:
            return heard
        found = heard or self._unchanged(symbol, open_ms)
        if found is None:
            return None
        end_ms = open_ms + self.interval_ms
        proven_ms = self._carried.proven_ms(symbol, found.spell)
        proof_ms = found.event_ms if proven_ms is None else proven_ms
        return found if end_ms - proof_ms <= self._max_age_ms else None

    def _unchanged(self, symbol: str, open_ms: int) -> _Price | None:
        """Return the newest price before a candle in which the connected stream was silent."""
        spell = self._carried.spell_at(symbol, open_ms)
        prices = self._prices[symbol]
        before_ms = max((each for each in prices if each < open_ms), default=None)
        found = None if before_ms is None or spell == NO_SPELL else prices[before_ms]
        return found if found is not None and found.spell == spell else None
