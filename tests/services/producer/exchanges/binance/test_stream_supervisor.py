"""The supervisor over a connection that plays dead in every way there is."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from services.producer.event_queue import EventQueue, StreamConnected
from services.producer.exchanges.binance import stream_supervisor as supervisor
from services.producer.exchanges.binance.stream_supervisor import StreamSupervisor
from services.producer.server_time import ServerTime
from shared.core.errors import Unavailable
from tests.support.waiting import eventually


class ScriptedConnection:
    """A connection to the exchange: acknowledges, and then does what the test wants."""

    def __init__(self, heard: Callable[[str], None], broke: Callable[[Exception], None]) -> None:
        self.on_message, self.on_error = heard, broke
        self.is_alive, self.stopped = True, False

    def subscribe(
        self, symbols: Sequence[str], interval: str, wait: Callable[[float], object]
    ) -> set[int]:
        self.on_message(json.dumps({"result": None, "id": 1}))
        return {1}

    def stop(self) -> None:
        self.stopped = True


class ScriptedExchange:
    """Where the supervisor connects."""

    def __init__(self) -> None:
        self.lines: list[ScriptedConnection] = []
        self.refusals = 0
        self.stop = threading.Event()
        self.inbox = EventQueue()

    def connect(
        self, heard: Callable[[str], None], broke: Callable[[Exception], None]
    ) -> ScriptedConnection:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("nobody there")
        self.lines.append(ScriptedConnection(heard, broke))
        return self.lines[-1]

    def watched(self, silence_s: float = 60.0) -> StreamSupervisor:
        watch = StreamSupervisor(
            self.connect,  # type: ignore[arg-type]
            ["BTCUSDT"],
            "5m",
            silence_s,
            self.inbox,
            ServerTime(),
            self.stop,
        )
        watch.start()
        eventually(lambda: self.lines and watch.connected)
        return watch

    def is_connected_anew(self) -> bool:
        return len(self.lines) > 1 and self.lines[0].stopped


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedExchange]:
    monkeypatch.setattr(supervisor, "LOOK_S", 0.01)
    exchange = ScriptedExchange()
    yield exchange
    exchange.stop.set()


def test_a_line_that_is_open_and_silent_is_given_up(exchange: ScriptedExchange) -> None:
    exchange.watched(silence_s=0.5)

    eventually(exchange.is_connected_anew)


def test_a_line_is_renewed_before_the_exchange_would_end_it(
    exchange: ScriptedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_LIFE_S", 0.5)
    exchange.watched()

    eventually(exchange.is_connected_anew)


def end_by_announcement(line: ScriptedConnection) -> None:
    line.on_message(json.dumps({"e": "serverShutdown", "E": 1735689600000}))


def end_by_error(line: ScriptedConnection) -> None:
    line.on_error(TimeoutError("no pong"))


def end_without_a_word(line: ScriptedConnection) -> None:
    line.is_alive = False


@pytest.mark.parametrize("end", [end_by_announcement, end_by_error, end_without_a_word])
def test_however_a_line_ends_there_is_another_and_what_closed_meanwhile_is_asked_for(
    exchange: ScriptedExchange, end: Callable[[ScriptedConnection], None]
) -> None:
    exchange.watched()
    exchange.inbox.take(1.0)
    exchange.refusals = 1

    end(exchange.lines[0])

    eventually(exchange.is_connected_anew)
    assert exchange.inbox.take(10.0) == [StreamConnected()]
