"""The supervisor over connections that end in every way there is."""

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from services.producer import stream_supervisor
from services.producer.event_queue import EventQueue, Inbox
from services.producer.events import StreamConnected
from services.producer.ports import (
    OnError,
    OnEvent,
    RestClient,
    ServerShutdown,
    StreamUpdate,
    SubscriptionAck,
)
from services.producer.price_book import HeardPrice, StreamInterrupted
from services.producer.sequencer import ReceivedCandle
from services.producer.stream_supervisor import StreamSupervisor
from shared.core.errors import Unavailable
from tests.support.waiting import eventually


class ScriptedConnection:
    """Acknowledges its subscription, then does what the test wants."""

    def __init__(self, on_event: OnEvent, on_error: OnError) -> None:
        self.on_event, self.on_error = on_event, on_error
        self.is_alive, self.is_closed = True, False
        self.symbols: list[str] = []

    def subscribe(self, symbols: Sequence[str], wait: Callable[[float], object]) -> set[int]:
        self.symbols += symbols
        self.on_event(SubscriptionAck(1))
        return {1}

    def close(self) -> None:
        self.is_closed = True


class ScriptedExchange:
    """Opens scripted connections, or refuses as many as the test says."""

    max_symbols = 1
    used_weight = 0

    def __init__(self) -> None:
        self.max_connection_age_s = 3600.0
        self.connections: list[ScriptedConnection] = []
        self.refusals = 0

    def open_rest(self) -> RestClient:
        raise NotImplementedError

    def open_stream(self, on_event: OnEvent, on_error: OnError) -> ScriptedConnection:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("nobody there")
        self.connections.append(ScriptedConnection(on_event, on_error))
        return self.connections[-1]

    def has_reconnected(self) -> bool:
        return len(self.connections) > 1 and self.connections[0].is_closed


@pytest.fixture
def exchange() -> ScriptedExchange:
    return ScriptedExchange()


@pytest.fixture
def events() -> EventQueue:
    return EventQueue(max_events=2)


@pytest.fixture
def inbox(events: EventQueue) -> Inbox:
    return Inbox(events)


@pytest.fixture
def connect(
    exchange: ScriptedExchange, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[float], StreamSupervisor]]:
    """Start a supervisor with a limit of silence, and wait until it is connected."""
    monkeypatch.setattr(stream_supervisor, "CHECK_EVERY_S", 0.01)
    stop = threading.Event()

    def start(silence_s: float) -> StreamSupervisor:
        supervisor = StreamSupervisor(exchange, ["BTCUSDT"], silence_s, inbox, stop)
        threading.Thread(target=supervisor.run, daemon=True).start()
        eventually(lambda: exchange.connections and supervisor.is_connected)
        return supervisor

    yield start
    stop.set()


def test_a_connection_that_is_open_and_silent_is_replaced(
    exchange: ScriptedExchange, connect: Callable[[float], StreamSupervisor]
) -> None:
    connect(0.5)

    eventually(exchange.has_reconnected)


def test_a_connection_is_replaced_before_the_exchange_would_end_it(
    exchange: ScriptedExchange, connect: Callable[[float], StreamSupervisor]
) -> None:
    exchange.max_connection_age_s = 0.5
    connect(60.0)

    eventually(exchange.has_reconnected)


def test_a_full_queue_ends_the_connection_so_that_rest_gives_what_was_dropped(
    exchange: ScriptedExchange, connect: Callable[[float], StreamSupervisor]
) -> None:
    connect(60.0)
    candle = ReceivedCandle("BTCUSDT", 0, 1.0, b"{}", "stream", 0)

    for _ in range(2):
        exchange.connections[0].on_event(StreamUpdate(None, candle))

    eventually(exchange.has_reconnected)


def test_symbols_wanted_for_their_prices_are_added_to_the_connection_and_to_the_next(
    exchange: ScriptedExchange, connect: Callable[[float], StreamSupervisor]
) -> None:
    supervisor = connect(60.0)

    supervisor.follow_prices(["ETHUSDT", "BTCUSDT"])
    eventually(lambda: exchange.connections[0].symbols == ["BTCUSDT", "ETHUSDT"])
    end_unannounced(exchange.connections[0])
    eventually(lambda: exchange.has_reconnected() and exchange.connections[1].symbols)

    assert exchange.connections[1].symbols == ["BTCUSDT", "ETHUSDT"]


def test_prices_and_interruptions_reach_the_worker_in_their_order(
    exchange: ScriptedExchange, inbox: Inbox, connect: Callable[[float], StreamSupervisor]
) -> None:
    connect(60.0)
    prices = [HeardPrice("BTCUSDT", 0, 1.0, 5), HeardPrice("BTCUSDT", 0, 2.0, 6)]

    exchange.connections[0].on_event(StreamUpdate(5, None, prices[0]))
    end_unannounced(exchange.connections[0])
    eventually(exchange.has_reconnected)
    exchange.connections[1].on_event(StreamUpdate(6, None, prices[1]))

    assert list(inbox.prices.drain()) == [prices[0], StreamInterrupted(), prices[1]]


def end_by_announcement(connection: ScriptedConnection) -> None:
    connection.on_event(ServerShutdown("the exchange shuts down"))


def end_by_error(connection: ScriptedConnection) -> None:
    connection.on_error(TimeoutError("no pong"))


def end_unannounced(connection: ScriptedConnection) -> None:
    connection.is_alive = False


@pytest.mark.parametrize("end", [end_by_announcement, end_by_error, end_unannounced])
def test_however_a_connection_ends_another_is_opened_and_missed_closes_are_requested(
    exchange: ScriptedExchange,
    events: EventQueue,
    connect: Callable[[float], StreamSupervisor],
    end: Callable[[ScriptedConnection], None],
) -> None:
    connect(60.0)
    events.drain(1.0)
    exchange.refusals = 1

    end(exchange.connections[0])

    eventually(exchange.has_reconnected)
    assert events.drain(10.0) == [StreamConnected()]
