"""Everything the worker needs to know about the market, from prices and REST responses. PURE."""

from collections.abc import Collection, Iterable, Sequence
from statistics import median_low

from services.producer.backfill.checked_page import CheckedPage
from services.producer.backfill.sequencer import LogEntry, ReceivedCandle
from services.producer.events import MarketChanged
from services.producer.market.held_responses import HeldResponses
from services.producer.market.price_book import PriceBook, PriceEvent
from services.producer.market.price_history import PriceHistory
from services.producer.market.recorder import MarketRecorder


class MarketTracker:
    """Follows the market's prices; holds REST responses until it knows the moves they need."""

    def __init__(
        self, followed: Sequence[str], market: MarketChanged, interval_ms: int, max_age_ms: int
    ) -> None:
        """Start without a price.

        Args:
            followed: the symbols whose candles are written.
            market: the symbols followed for their prices alone, and the baskets in force.
            interval_ms: milliseconds between two open times.
            max_age_ms: as in `PriceBook`.
        """
        self.followed, self._interval_ms = tuple(followed), interval_ms
        self._price_only = market.price_only
        self._book = PriceBook((*followed, *market.price_only), interval_ms, max_age_ms)
        self._recorder = MarketRecorder(self._book, market.baskets)
        self._history = PriceHistory(market.price_only)
        self._held = HeldResponses(self._recorder.is_recorded)
        self._baskets = market.baskets
        self._forgotten_ms = self._aged_ms = 0
        self.price_age_s = 0.0  # median age of the prices in the newest move

    @property
    def symbols(self) -> int:
        """The number of the market's symbols."""
        return len(self._book.symbols)

    @property
    def held_symbols(self) -> frozenset[str]:
        """The symbols whose REST response waits."""
        return self._held.symbols

    def listen(self, heard: Iterable[PriceEvent]) -> None:
        """Take what the stream told."""
        for each in heard:
            self._book.hear(each)

    def change(self, market: MarketChanged) -> None:
        """Follow other symbols for their prices, and other baskets from the next candle on."""
        self._price_only = market.price_only
        self._set_symbols()
        if market.baskets != self._baskets:
            self._recorder.adopt(market.baskets)
            self._baskets = market.baskets

    def follow(self, symbols: Collection[str]) -> None:
        """Add symbols whose candles are written, and not their prices alone any longer."""
        self.followed = tuple(dict.fromkeys((*self.followed, *symbols)))
        self._set_symbols()

    def unfollow(self, symbol: str) -> None:
        """Forget a symbol whose candles are written no more, and a response that waits."""
        self.followed = tuple(each for each in self.followed if each != symbol)
        self._held.drop(symbol)
        self._set_symbols()

    def on_connected(self, symbols: Iterable[str], server_ms: int) -> None:
        """Want the closes before the candle that is open now: the stream did not tell them."""
        closed_ms = server_ms // self._interval_ms * self._interval_ms - self._interval_ms
        is_concerned = any(symbol in self._history for symbol in symbols)
        if closed_ms > 0 and is_concerned and not self._held.symbols:
            self._history.want(closed_ms, closed_ms)

    def take(self, response: CheckedPage, now_s: float) -> bool:
        """Learn a response's closes; return True if it is for the market alone or has to wait."""
        self._learn_closes(response)
        if response.symbol in self._history:
            from_ms, until_ms = response.from_ms, response.complete_until_ms
            self._history.on_response(response.symbol, from_ms, until_ms)
            return True
        if response.logged_moves:
            self._recorder.learn(response.from_ms, response.logged_moves)
        if response.candles:
            self._held.add(response, now_s)
        return bool(response.candles)

    def has_learnt(self, open_ms: int) -> bool:
        """Return whether the moves that the log has from an open time on are known already."""
        return self._recorder.learnt_from_ms <= open_ms

    def on_failure(self, symbol: str) -> bool:
        """Record a request that failed; return True if it was for the market alone."""
        self._history.on_failure(symbol)
        return symbol in self._history

    def release(self, awaited_from_ms: int | None, now_s: float) -> list[CheckedPage]:
        """Return the responses that need not wait any longer, as in `HeldResponses`.

        Args:
            awaited_from_ms: the earliest open time of an unanswered request for a symbol followed.
            now_s: the time now.
        """
        if (span := self._held.oldest_span_ms()) is None:
            return []
        if not all(map(self._recorder.is_heard, span)):
            self._history.want(*span)
        awaited = [awaited_from_ms, self._history.awaited_from_ms()]
        earliest_ms = min((each for each in awaited if each is not None), default=None)
        return self._held.release(earliest_ms, now_s)

    def record(self, entries: Iterable[LogEntry]) -> list[LogEntry]:
        """Return the entries with the market's move in each candle for which it is known."""
        return self._recorder.record(entries)

    def tidy_up(self, recorded: Iterable[LogEntry]) -> None:
        """Measure the prices' age and drop old prices, once the candles are written."""
        self._update_age(recorded)
        self._forget()

    def take_due(self, now_s: float) -> list[tuple[str, int]]:
        """Return symbols to request for their prices, with the open time to request from."""
        if not self._held.symbols and self._history.awaited_from_ms() is None:
            self._history.want_nothing()
        return self._history.take_due(now_s)

    def _set_symbols(self) -> None:
        price_only = [each for each in self._price_only if each not in self.followed]
        self._book.set_symbols((*self.followed, *price_only))
        self._history.set_symbols(price_only)

    def _learn_closes(self, response: CheckedPage) -> None:
        before = () if response.before is None else (response.before,)
        for each in (*before, *response.candles):
            self._book.add_close(each.symbol, each.open_time_ms, each.close)

    def _update_age(self, recorded: Iterable[LogEntry]) -> None:
        """Measure the age of the prices once for each candle, when it is first written."""
        newest_ms = max(
            (each.open_time_ms for each in recorded if isinstance(each, ReceivedCandle)), default=0
        )
        if newest_ms > self._aged_ms and (ages_ms := self._book.ages_ms(newest_ms)):
            self._aged_ms, self.price_age_s = newest_ms, median_low(ages_ms) / 1000

    def _forget(self) -> None:
        """Drop prices that no held response needs, when there are new ones to drop."""
        span = self._held.oldest_span_ms()
        needed_ms = self._book.newest_open_ms if span is None else span[0] - self._interval_ms
        if needed_ms > self._forgotten_ms:
            self._forgotten_ms = needed_ms
            self._history.forget_before(self._book.forget_before(needed_ms))
