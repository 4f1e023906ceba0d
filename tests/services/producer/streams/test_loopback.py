"""The supervisor and real connections against servers on loopback that misbehave."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from services.producer.backfill.sequencer import ReceivedCandle
from services.producer.event_queue import Inbox
from services.producer.exchanges.binance.stream_connection import BinanceStreamConnection
from services.producer.ports import OnError, OnEvent, StreamLimits
from services.producer.streams.status import StreamOptions
from services.producer.streams.supervisor import StreamSupervisor
from tests.support.waiting import eventually
from tests.support.websocket_server import Script, WebSocketClient, websocket_server

STEP_MS = 300_000


class LoopbackStreams:
    """Binance's streams at an address on loopback."""

    def __init__(self, url: str, limits: StreamLimits) -> None:
        self._url, self.stream_limits = url, limits

    def open_stream(self, on_event: OnEvent, on_error: OnError) -> BinanceStreamConnection:
        return BinanceStreamConnection(self._url, "5m", on_event, on_error)


@dataclass
class SupervisorRun:
    """A supervisor that runs, and what it passed on."""

    supervisor: StreamSupervisor
    inbox: Inbox
    stop: threading.Event
    thread: threading.Thread
    candles: list[ReceivedCandle] = field(default_factory=list)

    def take(self) -> list[ReceivedCandle]:
        """Return every candle so far."""
        events = self.inbox.events.drain(0.0)
        self.candles += [each for each in events if isinstance(each, ReceivedCandle)]
        return self.candles


Start = Callable[..., SupervisorRun]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as cleanup:

        def run(
            serve: Script,
            symbols: list[str],
            max_age_s: float = 1e6,
            max_symbols: int = 1000,
            silence_s: float = 60.0,
        ) -> SupervisorRun:
            url = cleanup.enter_context(websocket_server(serve))
            exchange = LoopbackStreams(url, StreamLimits(max_symbols, max_age_s, handshake_s=1.0))
            inbox, stop = Inbox(), threading.Event()
            options = StreamOptions(silence_s, STEP_MS)
            supervisor = StreamSupervisor(exchange, symbols, options, inbox, stop)
            thread = threading.Thread(target=supervisor.run, daemon=True)
            thread.start()
            cleanup.callback(thread.join, 5)
            cleanup.callback(stop.set)
            return SupervisorRun(supervisor, inbox, stop, thread)

        yield run


class LoopbackMarket:
    """A server that acknowledges everything and tells the same closes to every connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[WebSocketClient, set[str]] = {}
        self.connections = 0
        self.closes = 0

    def serve(self, client: WebSocketClient) -> None:
        client.accept()
        self.connections += 1
        while (message := client.receive()) is not None:
            with self._lock:
                self._clients.setdefault(client, set()).update(message["params"])
                client.send({"result": None, "id": message["id"]})
        with self._lock:
            self._clients.pop(client, None)

    def close_candle(self, symbol: str) -> None:
        """Tell the close of the next candle to whoever is subscribed."""
        open_ms = 1_735_689_600_000 + self.closes * STEP_MS
        self.closes += 1
        kline = {
            "t": open_ms, "T": open_ms + STEP_MS - 1, "s": symbol, "i": "5m", "o": "1.0",
            "h": "1.0", "l": "1.0", "c": "1.0", "v": "1.0", "n": 1, "x": True, "q": "1.0",
            "V": "1.0", "Q": "1.0",
        }  # fmt: skip
        event = {"e": "kline", "E": open_ms + STEP_MS, "s": symbol, "k": kline}
        with self._lock:
            for client, streams in self._clients.items():
                if f"{symbol.lower()}@kline_5m" in streams:
                    with suppress(OSError):  # the client has just gone
                        client.send(event)


def test_renewals_lose_no_close(start: Start) -> None:
    market = LoopbackMarket()
    run = start(market.serve, ["BTCUSDT"], max_age_s=1.0)
    eventually(lambda: run.supervisor.is_connected)

    def close_until_renewed() -> bool:
        market.close_candle("BTCUSDT")
        return run.supervisor.status.ends.get("age", 0) >= 2

    def closes() -> set[int]:
        # A set: of two connections, one that lags by a whole candle tells it once more.
        return {each.open_time_ms for each in run.take()}

    eventually(close_until_renewed, poll_interval_s=0.02)
    eventually(lambda: len(closes()) >= market.closes)

    assert len(closes()) == market.closes
    assert market.connections >= 3


def test_a_connection_that_flaps_is_attempted_ever_less_often(start: Start) -> None:
    attempts_s: list[float] = []

    def say_something_and_end(client: WebSocketClient) -> None:
        attempts_s.append(time.monotonic())
        client.accept()
        client.acknowledge()
        client.send({"e": "kline", "E": 1})

    start(say_something_and_end, ["BTCUSDT"])
    eventually(lambda: len(attempts_s) >= 4)

    waits_s = [later - first for first, later in pairwise(attempts_s)]
    assert waits_s[2] > 1.8
    assert waits_s == sorted(waits_s)


def test_other_connections_are_made_and_it_can_be_stopped_while_one_handshake_stalls(
    start: Start,
) -> None:
    market, is_first = LoopbackMarket(), threading.Semaphore(1)

    def stall_first(client: WebSocketClient) -> None:
        if is_first.acquire(blocking=False):
            client.read_request()
            client.receive()
        else:
            market.serve(client)

    run = start(stall_first, ["BTCUSDT", "ETHUSDT"], max_symbols=1)
    eventually(lambda: run.supervisor.status.carried == 1)
    eventually(lambda: run.supervisor.status.carried == 2, deadline_s=5)
    assert run.supervisor.status.ends == {"handshake": 1}

    run.stop.set()
    run.thread.join(1)
    assert not run.thread.is_alive()


def test_half_open_connections_are_replaced_while_others_go_on(start: Start) -> None:
    market, is_first = LoopbackMarket(), threading.Semaphore(1)

    def go_mute_first(client: WebSocketClient) -> None:
        if is_first.acquire(blocking=False):
            client.accept()
            client.acknowledge()
            client.receive()
        else:
            market.serve(client)

    run = start(go_mute_first, ["BTCUSDT", "ETHUSDT"], max_symbols=1, silence_s=1.0)

    def both_tell() -> bool:
        for symbol in ("BTCUSDT", "ETHUSDT"):
            market.close_candle(symbol)
        return {each.symbol for each in run.take()} == {"BTCUSDT", "ETHUSDT"}

    eventually(both_tell)
    assert run.supervisor.status.attempts == 3
    eventually(lambda: run.supervisor.status.ends == {"silence": 1})


def test_a_name_that_the_server_refuses_is_left_out_and_others_are_carried(start: Start) -> None:
    def refuse_bad(client: WebSocketClient) -> None:
        client.accept()
        while (message := client.receive()) is not None:
            refusal = {"code": 2, "msg": "Invalid request: no such stream", "id": message["id"]}
            is_bad = "badusdt@kline_5m" in message["params"]
            client.send(refusal if is_bad else {"result": None, "id": message["id"]})

    names = [f"S{number}USDT" for number in range(40)]
    run = start(refuse_bad, [*names, "BADUSDT"])

    eventually(lambda: run.supervisor.status.left_out.keys() == {"BADUSDT"})
    eventually(lambda: run.supervisor.status.carried == 40)
    assert "no such stream" in run.supervisor.status.left_out["BADUSDT"]
    assert run.supervisor.status.attempts == 1


def test_no_frame_is_answered_twice_and_the_pace_holds_while_a_thousand_symbols_are_subscribed(
    start: Start,
) -> None:
    times_s: list[float] = []

    def count_frames(client: WebSocketClient) -> None:
        client.accept()
        while (message := client.receive()) is not None:
            times_s.append(time.monotonic())
            assert len(json.dumps(message).encode()) < 4_500
            client.send({"result": None, "id": message["id"]})

    run = start(count_frames, [f"S{number}USDT" for number in range(1000)])
    eventually(lambda: run.supervisor.status.carried == 1000)

    assert len(times_s) == 10
    assert max(sum(0 <= other - each < 1 for other in times_s) for each in times_s) <= 5
