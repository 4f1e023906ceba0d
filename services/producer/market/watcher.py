"""Watch which symbols and baskets make up the market, on a thread of its own."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from services.producer.event_queue import EventQueue
from services.producer.events import MarketChanged, ThreadFailure
from services.producer.market.selection import Listing, PriceSymbols
from services.producer.ports import DayTicker, PriceStream
from shared.adapters.logs import Outage
from shared.core.errors import Unavailable
from shared.core.market import BasketDefinition

log = logging.getLogger(__name__)

REFRESH_S: Final = 30.0


class MarketWatcher:
    """Reads the most traded symbols once, and the baskets in force again and again."""

    def __init__(
        self,
        read_listing: Callable[[], Listing],
        setting: PriceSymbols,
        fetch_tickers: Callable[[], Sequence[DayTicker]],
        read_baskets: Callable[[], BasketDefinition | None],
    ) -> None:
        """Store what to choose from; nothing is read yet.

        Args:
            read_listing: returns the symbols that there are now.
            setting: which of them to follow for their prices.
            fetch_tickers: returns the last 24 hours of each symbol of the exchange.
            read_baskets: returns the definition of baskets in force.
        """
        self._read_listing, self._setting = read_listing, setting
        self._fetch_tickers, self._read_baskets = fetch_tickers, read_baskets
        self._tickers: Sequence[DayTicker] | None = None
        self._current = MarketChanged((), None)
        self._outage = Outage(log)

    def refresh(self) -> MarketChanged:
        """Return the market as it is now; what cannot be read stays as it was."""
        baskets, listing = self._current.baskets, self._read_listing()
        try:
            # The tickers once: the market's symbols should not change from day to day.
            if self._tickers is None and self._setting.most_traded and listing.has_others:
                self._tickers = self._fetch_tickers()
            baskets = self._read_baskets()
        except Unavailable as error:
            self._outage.report("the market's symbols stay as they are: %s", error)
        else:
            self._outage.end("the market's symbols can change")
        chosen = self._setting.choose(listing, self._tickers or ())
        members = () if baskets is None else baskets.members
        self._current = MarketChanged(listing.price_only(chosen, members), baskets)
        return self._current

    def run(self, stream: PriceStream, events: EventQueue, stop: threading.Event) -> None:
        """Refresh until stop is set; pass each change on."""
        try:
            while not stop.wait(REFRESH_S):
                before = self._current
                if (changed := self.refresh()) != before:
                    log.info("following the prices of %d more symbols", len(changed.price_only))
                    events.put(changed)
                    stream.follow_prices(changed.price_only)
        except Exception as error:  # of any kind: the worker raises it, on the main thread
            events.put(ThreadFailure(error))
