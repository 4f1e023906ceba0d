"""What the watcher does with the exchange's lists and the user's wishes."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from services.producer.event_queue import Inbox
from services.producer.events import SymbolsChanged
from services.producer.ports import DayTicker, KlinePage, ListedSymbol
from services.producer.symbols.followed_set import FollowedSet
from services.producer.symbols.selection import parse_symbol_selection
from services.producer.symbols.watcher import ListingOptions, SymbolWatcher
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.connection import KafkaConnection
from shared.core.control import ControlState, SymbolControl
from shared.core.errors import Unavailable
from shared.core.topics import Topics
from shared.log.control_topic import ControlTopic
from tests.support.waiting import eventually

TRADED = ListedSymbol(True, "USDT", "TRADING")


@dataclass
class ScriptedListing:
    """An exchange that lists what the test says, or refuses to."""

    listed: dict[str, ListedSymbol] = field(default_factory=dict)
    refuses: bool = False

    def list_symbols(self) -> Mapping[str, ListedSymbol]:
        if self.refuses:
            raise Unavailable("exchangeInfo was refused")
        return dict(self.listed)

    def fetch_tickers(self) -> Sequence[DayTicker]:
        return ()

    def server_time_ms(self) -> int:
        return 1

    def fetch_klines(
        self, symbol: str, from_ms: int, until_ms: int | None, max_rows: int
    ) -> KlinePage:
        return KlinePage([], False, 0)

    def close(self) -> None: ...


@dataclass
class SubscribedSymbols:
    """Keeps the symbols that the stream was told to carry."""

    symbols: set[str] = field(default_factory=set)

    def follow(self, symbols: Sequence[str]) -> None:
        self.symbols |= set(symbols)

    def unfollow(self, symbols: Sequence[str]) -> None:
        self.symbols -= set(symbols)


@dataclass
class Watch:
    """A watcher on a topic of its own."""

    kafka: KafkaConnection
    topics: Topics
    exchange: ScriptedListing = field(default_factory=ScriptedListing)
    stream: SubscribedSymbols = field(default_factory=SubscribedSymbols)
    inbox: Inbox = field(default_factory=Inbox)

    def watcher(self, setting: str) -> SymbolWatcher:
        selection = parse_symbol_selection(setting)
        assert selection is not None
        return SymbolWatcher(
            FollowedSet(selection, 0.0, ControlState()),
            ControlTopic(self.kafka, self.topics, "producer"),
            lambda: self.exchange,
            ListingOptions(0.05, needs_tickers=False),
        )

    def control(self) -> ControlState:
        return ControlTopic(self.kafka, self.topics, "test").refresh()

    def wish(self, *records: SymbolControl) -> None:
        ControlTopic(self.kafka, self.topics, "user").publish(records)

    @contextmanager
    def running(self, watcher: SymbolWatcher) -> Iterator[None]:
        stop = threading.Event()
        threads = [
            threading.Thread(target=watcher.run, args=(self.stream, self.inbox, stop)),
            threading.Thread(target=watcher.run_listing, args=(self.inbox.events, stop)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()


@pytest.fixture
def watch(kafka: KafkaConnection, topic_prefix: str) -> Watch:
    topics = Topics("5m", 1, topic_prefix)
    ensure_topics(kafka, topics)
    return Watch(kafka, topics)


@pytest.mark.integration
def test_named_symbols_start_without_a_list_and_are_recorded(watch: Watch) -> None:
    watch.exchange.refuses = True

    assert set(watch.watcher("BTCUSDT,ETHUSDT").begin().joining) == {"BTCUSDT", "ETHUSDT"}

    eventually(lambda: len(watch.control().members) == 2)
    assert watch.control().members["BTCUSDT"].reason == "named in SYMBOLS"


@pytest.mark.integration
@pytest.mark.parametrize("refuses", [True, False])
def test_all_waits_for_a_list_that_has_symbols_unless_some_were_followed_before(
    watch: Watch, refuses: bool
) -> None:
    watch.exchange.refuses = refuses
    with pytest.raises(Unavailable):
        watch.watcher("all").begin()

    watch.wish(SymbolControl("BTCUSDT", "joined", 1))
    eventually(lambda: watch.control().members)

    assert set(watch.watcher("all").begin().joining) == {"BTCUSDT"}


@pytest.mark.integration
def test_a_new_listing_reaches_the_stream_the_worker_and_the_log(watch: Watch) -> None:
    watch.exchange.listed = {"BTCUSDT": TRADED}
    watcher = watch.watcher("all")
    watcher.begin()
    with watch.running(watcher):
        watch.exchange.listed = {"BTCUSDT": TRADED, "NEWUSDT": TRADED}

        eventually(lambda: watch.stream.symbols == {"NEWUSDT"})

    changes = [each for each in watch.inbox.events.drain(1.0) if isinstance(each, SymbolsChanged)]
    assert set(changes[0].joining) == {"NEWUSDT"}
    eventually(lambda: set(watch.control().members) == {"BTCUSDT", "NEWUSDT"})
    assert watcher.listing.followed == ("BTCUSDT", "NEWUSDT")


@pytest.mark.integration
def test_a_symbol_whose_end_is_recorded_leaves_the_stream_and_the_members(watch: Watch) -> None:
    watch.exchange.listed = {"BTCUSDT": TRADED, "ETHUSDT": TRADED}
    watch.stream.symbols = {"BTCUSDT", "ETHUSDT"}
    watcher = watch.watcher("BTCUSDT,ETHUSDT")
    watcher.begin()
    with watch.running(watcher):
        watch.wish(SymbolControl("ETHUSDT", "unfollow", 2))
        eventually(watch.inbox.events.qsize)
        watch.inbox.ended.put("ETHUSDT")

        eventually(lambda: watch.stream.symbols == {"BTCUSDT"})
        eventually(lambda: set(watch.control().members) == {"BTCUSDT"})
