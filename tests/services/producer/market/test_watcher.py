"""The make-up of the market, read from the exchange and the log."""

import threading
from collections.abc import Sequence

import pytest

from services.producer.event_queue import Inbox
from services.producer.events import MarketChanged
from services.producer.market import watcher as market_watcher
from services.producer.market.selection import Listing, PriceSymbols
from services.producer.market.watcher import MarketWatcher
from services.producer.ports import DayTicker, ListedSymbol
from shared.core.errors import Unavailable
from shared.core.market import BasketDefinition, define_baskets
from tests.support.waiting import eventually

LISTED = {name: ListedSymbol(True, "USDT") for name in ("AUSDT", "BUSDT", "CUSDT", "DUSDT")}
BASKETS = define_baskets([["CUSDT", "AUSDT", "GONEUSDT"]], 0, 0)


class ScriptedSources:
    """Gives tickers and baskets, or fails as the test says."""

    def __init__(self) -> None:
        self.baskets: BasketDefinition | None = None
        self.fails = False
        self.ticker_requests = 0

    def fetch_tickers(self) -> Sequence[DayTicker]:
        self.ticker_requests += 1
        if self.fails:
            raise Unavailable("refused")
        return [DayTicker("BUSDT", 1.0, 2.0, 1.0)]

    def read_baskets(self) -> BasketDefinition | None:
        return self.baskets


class PriceSubscriptions:
    """Keeps the symbols whose prices were last asked for."""

    def __init__(self) -> None:
        self.symbols: Sequence[str] = ()

    def follow_prices(self, symbols: Sequence[str]) -> None:
        self.symbols = symbols


@pytest.fixture
def sources() -> ScriptedSources:
    return ScriptedSources()


def watch(
    sources: ScriptedSources, most_traded: int = 1, followed: Sequence[str] = ("AUSDT",)
) -> MarketWatcher:
    return MarketWatcher(
        lambda: Listing(followed, LISTED),
        PriceSymbols(most_traded),
        sources.fetch_tickers,
        sources.read_baskets,
    )


def test_the_market_is_the_most_traded_and_the_members_of_baskets(sources: ScriptedSources) -> None:
    watcher = watch(sources)
    assert watcher.refresh() == MarketChanged(("BUSDT",), None)

    sources.baskets = BASKETS

    assert watcher.refresh() == MarketChanged(("BUSDT", "CUSDT"), BASKETS)
    assert sources.ticker_requests == 1


def test_what_cannot_be_read_is_read_later(sources: ScriptedSources) -> None:
    watcher = watch(sources)
    sources.fails = True
    assert watcher.refresh() == MarketChanged((), None)

    sources.fails = False

    assert watcher.refresh() == MarketChanged(("BUSDT",), None)


@pytest.mark.parametrize(("most_traded", "followed"), [(0, ("AUSDT",)), (1, tuple(LISTED))])
def test_tickers_are_not_fetched_for_nothing(
    sources: ScriptedSources, most_traded: int, followed: Sequence[str]
) -> None:
    watch(sources, most_traded, followed).refresh()

    assert sources.ticker_requests == 0


def test_a_change_reaches_the_worker_and_the_stream(
    sources: ScriptedSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_watcher, "REFRESH_S", 0.01)
    watcher, inbox, stop = watch(sources), Inbox(), threading.Event()
    stream = PriceSubscriptions()
    watcher.refresh()
    thread = threading.Thread(target=watcher.run, args=(stream, inbox.events, stop))
    thread.start()

    sources.baskets = BASKETS
    eventually(lambda: stream.symbols)
    stop.set()
    thread.join()

    assert stream.symbols == ("BUSDT", "CUSDT")
    assert inbox.events.drain(10.0) == [MarketChanged(("BUSDT", "CUSDT"), BASKETS)]
