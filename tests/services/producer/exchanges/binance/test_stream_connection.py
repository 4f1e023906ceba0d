"""The connection against servers that misbehave."""

import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from services.producer.backfill.sequencer import UnreadableKline
from services.producer.exchanges.binance.bounded_socket import MAX_MESSAGE_BYTES
from services.producer.exchanges.binance.stream_connection import (
    MAX_MESSAGE_BYTES as MAX_SENT_BYTES,
)
from services.producer.exchanges.binance.stream_connection import (
    MAX_SYMBOLS_OF_MESSAGE,
    BinanceStreamConnection,
    fit_message,
)
from services.producer.ports import StreamEvent, StreamUpdate, SubscriptionAck, Throttled
from shared.core.errors import Unavailable
from shared.local_servers.programs import free_port
from tests.support.waiting import eventually
from tests.support.websocket_server import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Script,
    WebSocketClient,
    websocket_server,
)


@dataclass
class Heard:
    """What a connection reported."""

    events: list[StreamEvent] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def ended_with(self, kind: type[Exception]) -> str:
        eventually(lambda: self.errors)
        assert type(self.errors[0]) is kind
        return str(self.errors[0])


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def connect(heard: Heard) -> Iterator[Callable[[Script], BinanceStreamConnection]]:
    """Connect to a server that serves by a script."""
    with ExitStack() as cleanup:

        def start(serve: Script) -> BinanceStreamConnection:
            url = cleanup.enter_context(websocket_server(serve))
            connection = BinanceStreamConnection(
                url, "5m", heard.events.append, heard.errors.append
            )
            cleanup.callback(connection.close)
            return connection

        yield start


def accepting(then: Script) -> Script:
    """Return a script that accepts the connection, does something, and stays."""

    def serve(client: WebSocketClient) -> None:
        client.accept()
        then(client)
        while client.receive() is not None:
            pass

    return serve


Connect = Callable[[Script], BinanceStreamConnection]


def test_a_message_is_sent_and_its_acknowledgement_heard(connect: Connect, heard: Heard) -> None:
    received = []
    connection = connect(accepting(lambda client: received.append(client.acknowledge())))
    eventually(lambda: connection.may_send)

    sent = connection.subscribe(["BTCUSDT", "币安人生USDT"])

    assert sent.symbols == 2
    eventually(lambda: heard.events == [SubscriptionAck(sent.request_id)])
    assert received == [
        {
            "method": "SUBSCRIBE",
            "params": ["btcusdt@kline_5m", "币安人生usdt@kline_5m"],
            "id": sent.request_id,
        }
    ]


def test_a_message_is_below_the_limits_of_size_and_number() -> None:
    count, text = fit_message("SUBSCRIBE", ["x" * 29 + "@kline_5m"] * 1000, 2**40)
    assert (count, len(text.encode()) <= MAX_SENT_BYTES) == (96, True)
    count, text = fit_message("SUBSCRIBE", ["币" * 30 + "@kline_5m"] * 1000, 1)
    assert MAX_SENT_BYTES - 110 < len(text.encode()) <= MAX_SENT_BYTES
    assert len(json.loads(text)["params"]) == count
    assert fit_message("SUBSCRIBE", ["btcusdt@kline_5m"] * 1000, 1)[0] == MAX_SYMBOLS_OF_MESSAGE


def test_pongs_and_messages_together_keep_the_pace(connect: Connect) -> None:
    times_s: list[float] = []

    def ping_and_listen(client: WebSocketClient) -> None:
        for _ in range(2):
            client.send_frame(PING, b"1")
        for _ in range(8):
            client.receive()
            times_s.append(time.monotonic())
        times_s.extend([times_s[0]] * client.opcodes.count(PONG))

    connection = connect(accepting(ping_and_listen))
    eventually(lambda: connection.is_open)
    for _ in range(8):
        eventually(lambda: connection.may_send, poll_interval_s=0.01)
        connection.subscribe(["BTCUSDT"])

    eventually(lambda: len(times_s) >= 8)
    in_a_second = max(sum(0 <= other - each < 1 for other in times_s) for each in times_s)
    assert in_a_second <= 5


def test_a_stalled_handshake_can_be_ended(connect: Connect) -> None:
    reached = threading.Event()

    def stall(client: WebSocketClient) -> None:
        client.read_request()
        reached.set()
        client.receive()

    connection = connect(stall)
    assert reached.wait(10)
    assert connection.is_alive
    assert not connection.is_open

    connection.close()

    eventually(lambda: not connection.is_alive, deadline_s=2)


def test_a_handshake_that_trickles_can_be_ended(connect: Connect) -> None:
    reached = threading.Event()

    def trickle(client: WebSocketClient) -> None:
        client.read_request()
        while True:
            client.connection.sendall(b"H")
            reached.set()
            reached.wait(0.01)

    connection = connect(trickle)
    assert reached.wait(10)

    connection.close()

    eventually(lambda: not connection.is_alive, deadline_s=2)


@pytest.mark.parametrize("script", ["silent", "half a frame"])
def test_a_silent_connection_can_be_ended(connect: Connect, script: str, heard: Heard) -> None:
    half = b"\x81\x7e\x01" if script == "half a frame" else b""
    connection = connect(accepting(lambda client: client.connection.sendall(half)))
    eventually(lambda: connection.is_open)

    connection.close()

    eventually(lambda: not connection.is_alive, deadline_s=2)
    assert heard.errors == [], "it was not the exchange that ended it"


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("!BBQ", 128 | TEXT, 127, MAX_MESSAGE_BYTES + 1),
        struct.pack("!BBQ", 128 | TEXT, 127, 2**62),
    ],
)
def test_a_message_above_the_limit_ends_the_connection_before_it_is_read(
    connect: Connect, heard: Heard, header: bytes
) -> None:
    connect(accepting(lambda client: client.connection.sendall(header)))

    assert "at most 1048576 are read" in heard.ended_with(Unavailable)


def test_a_message_in_parts_has_the_same_limit(connect: Connect, heard: Heard) -> None:
    def send_parts(client: WebSocketClient) -> None:
        for number in range(20):
            client.send_frame(0 if number else TEXT, b" " * 100_000, is_last=False)

    connect(accepting(send_parts))

    assert "at most 1048576 are read" in heard.ended_with(Unavailable)


def test_a_large_message_within_the_limit_is_read(connect: Connect, heard: Heard) -> None:
    connect(accepting(lambda client: client.send('{"E": 5, "x": "%s"}' % ("x" * 900_000))))

    eventually(lambda: heard.events == [StreamUpdate(5)])


@pytest.mark.parametrize(
    ("opcode", "payload"),
    [
        (BINARY, b"\xff\xfe\x00"),
        (TEXT, b"\xff\xfe"),
        (TEXT, b"[" * 500_000),
        (TEXT, b'{"E":' + b"9" * 5_000 + b"}"),
        (TEXT, b""),
    ],
)
def test_what_cannot_be_read_is_reported_and_the_connection_goes_on(
    connect: Connect, heard: Heard, opcode: int, payload: bytes
) -> None:
    def send(client: WebSocketClient) -> None:
        client.send_frame(opcode, payload)
        client.send({"E": 7})

    connect(accepting(send))

    eventually(lambda: len(heard.events) == 2)
    unreadable, after = heard.events
    assert isinstance(unreadable, StreamUpdate)
    assert isinstance(unreadable.kline, UnreadableKline)
    assert payload.startswith(unreadable.kline.origin.original)
    assert after == StreamUpdate(7)


def test_a_binary_frame_with_a_readable_message_is_read(connect: Connect, heard: Heard) -> None:
    connect(accepting(lambda client: client.send_frame(BINARY, b'{"E": 7}')))

    eventually(lambda: heard.events == [StreamUpdate(7)])


def test_the_exchanges_reason_for_a_close_is_named(connect: Connect, heard: Heard) -> None:
    payload = (1008).to_bytes(2) + b"Too many requests"
    connection = connect(accepting(lambda client: client.send_frame(CLOSE, payload)))

    assert "1008 'Too many requests'" in heard.ended_with(Unavailable)
    eventually(lambda: not connection.is_alive)
    with pytest.raises(Unavailable):
        connection.subscribe(["BTCUSDT"])


def test_a_lost_connection_is_reported(connect: Connect, heard: Heard) -> None:
    connect(lambda client: client.accept())

    heard.ended_with(Unavailable)


def test_a_missing_server_is_reported(heard: Heard) -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    BinanceStreamConnection(url, "5m", heard.events.append, heard.errors.append)

    assert url in heard.ended_with(Unavailable)


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        ("429 Too Many Requests\r\nRetry-After: 7", Throttled, "sending nothing for 7 s"),
        ("451 Unavailable For Legal Reasons", Unavailable, "EXCHANGE_STREAM_URL"),
        ("503 Service Unavailable\r\nContent-Length: 99999999999", Unavailable, ""),
        ("302 Found\r\nLocation: ws://127.0.0.1:1/", Unavailable, ""),
        ("nonsense", Unavailable, ""),
    ],
)
def test_a_refused_handshake_says_what_to_do(
    connect: Connect, heard: Heard, status: str, kind: type[Exception], text: str
) -> None:
    def refuse(client: WebSocketClient) -> None:
        client.read_request()
        client.connection.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())

    connect(refuse)

    assert text in heard.ended_with(kind)
