"""No answer whatever of the exchange raises anything but Unavailable."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.producer.backfill.sequencer import UnreadableKline
from services.producer.candle_log import to_producer_record
from services.producer.exchanges.binance.exchange import BinanceExchange
from services.producer.exchanges.binance.rest_client import BinanceRestClient
from services.producer.exchanges.binance.schemas import decode_message
from services.producer.ports import RestLimits, StreamUpdate, Throttled
from services.producer.rest.weight_budget import MAX_BAN_S
from shared.core.errors import Unavailable
from shared.core.topics import Topics
from tests.support.raw_server import raw_server

STEP_MS = 300_000
START_MS = 1_735_689_600_000
NAMES = (
    "serverTime", "symbols", "symbol", "status", "quoteAsset", "rateLimits", "rateLimitType",
    "interval", "intervalNum", "limit", "quoteVolume", "highPrice", "lowPrice", "code", "msg",
    "e", "E", "s", "k", "t", "T", "i", "o", "c", "h", "l", "v", "n", "x", "q", "V", "Q", "data",
    "result", "id", "error",
)  # fmt: skip
WORDS = ("REQUEST_WEIGHT", "MINUTE", "TRADING", "kline", "5m", "BTCUSDT", "serverShutdown", "1e999")

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**99), 10**99)
    | st.sampled_from([0, START_MS, START_MS + STEP_MS, 2**63, 10**15])
    | st.floats()
    | st.text()
    | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=14)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=30,
)


def row() -> list[Any]:
    return [START_MS, "1.0", "1.0", "1.0", "1.0", "5.0", START_MS + STEP_MS - 1, "5.0", 9, "1.0",
            "1.0", "0"]  # fmt: skip


def message() -> dict[str, Any]:
    kline = {
        "t": START_MS, "T": START_MS + STEP_MS - 1, "s": "BTCUSDT", "i": "5m", "o": "1.0",
        "c": "1.0", "h": "1.0", "l": "1.0", "v": "5.0", "n": 9, "x": True, "q": "5.0", "V": "1.0",
        "Q": "1.0",
    }  # fmt: skip
    return {"e": "kline", "E": START_MS + STEP_MS, "s": "BTCUSDT", "k": kline}


def listing() -> dict[str, Any]:
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "limit": 6000}
    symbol = {"symbol": "BTCUSDT", "status": "TRADING", "quoteAsset": "USDT"}
    return {"symbols": [symbol], "rateLimits": [weight | {"intervalNum": 1}]}


def ticker() -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "quoteVolume": "9", "highPrice": "2", "lowPrice": "1"}


@st.composite
def spoilt(draw: st.DrawFn, original: Any) -> Any:
    """Return a valid body with one value replaced, at any depth."""
    keys = list(original) if isinstance(original, dict) else list(range(len(original)))
    key = draw(st.sampled_from(keys))
    value = original[key]
    inner = isinstance(value, dict | list) and draw(st.booleans())
    return {
        **{each: original[each] for each in keys},
        key: draw(spoilt(value)) if inner else draw(anything),
    } if isinstance(original, dict) else [
        (draw(spoilt(value)) if inner else draw(anything)) if at == key else original[at]
        for at in keys
    ]  # fmt: skip


bodies = anything | st.one_of(
    [spoilt(each) for each in ([row()], [ticker()], listing(), {"serverTime": START_MS})]
)
texts = bodies.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=200)
DEEP = b"[" * 100_000
LONG_NUMBER = b'[[%b]]' % (b"9" * 5_000)  # fmt: skip
header_values = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\x00")) | st.one_of(
    st.integers().map(str), st.floats().map(str), st.just("9" * 5_000), st.just("٣")
)

REQUESTS: list[Callable[[BinanceRestClient], object]] = [
    BinanceRestClient.server_time_ms,
    BinanceRestClient.list_symbols,
    BinanceRestClient.fetch_tickers,
    lambda rest: rest.fetch_klines("BTCUSDT", START_MS, None, 1_000),
]


class AnyResponse:
    """What the server sends to the next requests."""

    data = b""
    port = 0

    def serve(self, connection: socket.socket, stop: threading.Event) -> None:
        connection.recv(65_536)
        connection.sendall(self.data)


@pytest.fixture(scope="module")
def server() -> Iterator[AnyResponse]:
    answer = AnyResponse()
    with raw_server(answer.serve) as answer.port:
        yield answer


def http_answer(status: int, retry_after: str, used: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nRetry-After: {retry_after}\r\nX-MBX-USED-WEIGHT-1M: {used}\r\n"
    length = f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1", "replace") + length.encode() + body


@settings(max_examples=40)
@example(200, "", "", DEEP)
@example(200, "", "", LONG_NUMBER)
@example(200, "", "", b'{"serverTime": 1, "serverTime": 2}')
@example(200, "", "", b'{"symbols": [], "rateLimits": [1, 2]}')
@example(429, "99999999999", "", b"")
@example(418, "-1", "", DEEP)
@example(418, "nan", "", LONG_NUMBER)
@example(400, "", "", b'"a text"')
@given(
    st.sampled_from([200, 200, 200, 204, 301, 400, 403, 404, 418, 429, 451, 500, 503]),
    header_values,
    header_values,
    texts,
)
def test_any_answer_of_rest_is_a_value_or_unavailable(
    server: AnyResponse, status: int, retry_after: str, used: str, body: bytes
) -> None:
    server.data = http_answer(status, retry_after, used, body)

    for request in REQUESTS:
        url = f"http://127.0.0.1:{server.port}"
        exchange = BinanceExchange("5m", url, None, RestLimits(), threading.Event())
        with closing(exchange.open_rest()) as rest:
            error = refusal(request, rest)
        assert error is None or url in str(error)
        if isinstance(error, Throttled):
            assert 1.0 <= error.retry_after_s <= MAX_BAN_S


def refusal(
    request: Callable[[BinanceRestClient], object], rest: BinanceRestClient
) -> Unavailable | None:
    try:
        request(rest)
    except Unavailable as error:
        return error
    return None


@settings(max_examples=500)
@example(DEEP)
@example(LONG_NUMBER)
@example(json.dumps(message() | {"E": 10**99}).encode())
@example(json.dumps({"stream": 1, "data": message() | {"k": {"x": True}}}).encode())
@given(
    (anything | spoilt(message())).map(lambda body: json.dumps(body).encode())
    | st.binary(max_size=200)
)
def test_any_message_of_the_stream_is_an_event_and_a_dead_letter_can_be_written(
    text: bytes,
) -> None:
    event = decode_message(text, "5m", 7)

    if isinstance(event, StreamUpdate) and isinstance(event.kline, UnreadableKline):
        assert to_producer_record(event.kline, Topics("5m", 6), 0).value is not None
