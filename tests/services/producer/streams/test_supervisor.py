"""The supervisor's thread."""

import threading
from collections.abc import Iterator

import pytest

from services.producer.event_queue import Inbox
from services.producer.events import ThreadFailure
from services.producer.streams.status import StreamOptions
from services.producer.streams.supervisor import StreamSupervisor
from tests.services.producer.streams.scripted_exchange import ScriptedConnection, ScriptedExchange
from tests.support.waiting import eventually

OPTIONS = StreamOptions(silence_s=60.0, interval_ms=300_000)


@pytest.fixture
def exchange() -> ScriptedExchange:
    return ScriptedExchange()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def supervisor(exchange: ScriptedExchange, inbox: Inbox) -> Iterator[StreamSupervisor]:
    stop = threading.Event()
    supervisor = StreamSupervisor(exchange, ["BTCUSDT"], OPTIONS, inbox, stop)
    thread = threading.Thread(target=supervisor.run, daemon=True)
    thread.start()
    yield supervisor
    stop.set()
    thread.join(5)
    assert exchange.alive == [], "every connection is ended with the thread"


def test_symbols_may_be_changed_while_it_runs(
    exchange: ScriptedExchange, supervisor: StreamSupervisor
) -> None:
    eventually(lambda: supervisor.is_connected)

    supervisor.follow(["SOLUSDT"])
    supervisor.follow_prices(["ETHUSDT", "BTCUSDT"])
    eventually(lambda: set(exchange.connections[0].symbols) == {"BTCUSDT", "SOLUSDT", "ETHUSDT"})
    supervisor.unfollow(["BTCUSDT", "SOLUSDT"])
    eventually(lambda: set(exchange.connections[0].symbols) == {"BTCUSDT", "ETHUSDT"})

    assert len(exchange.connections) == 1
    assert supervisor.status.wanted == 2


def test_an_error_of_its_own_reaches_the_worker(
    exchange: ScriptedExchange, inbox: Inbox, supervisor: StreamSupervisor
) -> None:
    eventually(lambda: supervisor.is_connected)
    error = RuntimeError("a mistake")

    def fail(connection: ScriptedConnection) -> None:
        connection.close()
        raise error

    exchange.prepare = fail
    exchange.connections[0].is_alive = False

    eventually(lambda: ThreadFailure(error) in inbox.events.drain(0.1))
