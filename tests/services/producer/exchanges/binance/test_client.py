"""The connector against a server that answers as told."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from services.producer.exchanges.binance.client import (
    RateLimiter,
    RestClient,
    StreamClient,
    Throttled,
    refusal,
)
from shared.core.errors import Incompatible, Unavailable
from shared.local_servers.launcher import free_port


@dataclass
class Exchange:
    url: str
    status: int = 200
    body: str = '{"serverTime": 5}'
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked += 1
            self.send_response(told.status)
            for name, value in {"Content-Length": str(len(told.body)), **told.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told.body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    told = Exchange(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def rest(exchange: Exchange) -> Iterator[RestClient]:
    rest = RestClient(exchange.url, RateLimiter(threading.Event()))
    yield rest
    rest.close()


def test_an_answer_is_what_the_exchange_says(exchange: Exchange, rest: RestClient) -> None:
    assert rest.time_ms() == 5
    exchange.body = '{"symbols": [{"symbol": "BTCUSDT", "status": "TRADING"}], "rateLimits": []}'
    assert rest.statuses() == {"BTCUSDT": "TRADING"}
    exchange.body = "[[1]]"
    assert rest.klines("BTCUSDT", "5m", 0) == [[1]]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, "oops"),
        (503, ""),
        (403, "<html>WAF</html>"),
        (400, '{"code": -1121, "msg": "Invalid symbol."}'),
        (400, '{"msg": "no code"}'),
        (400, '["a list"]'),
        (200, "<html>a page</html>"),
        (200, '{"msg": "no list"}'),
    ],
)
def test_whatever_goes_wrong_is_named_as_unavailable(
    exchange: Exchange, rest: RestClient, status: int, body: str
) -> None:
    exchange.status, exchange.body = status, body

    with pytest.raises(Unavailable, match=exchange.url):
        rest.klines("BTCUSDT", "5m", 0)


def test_nobody_there_is_unavailable() -> None:
    rest = RestClient(f"http://127.0.0.1:{free_port()}", RateLimiter(threading.Event()))
    with pytest.raises(Unavailable):
        rest.time_ms()
    rest.close()
    with pytest.raises(Unavailable):
        StreamClient(f"ws://127.0.0.1:{free_port()}", lambda _: None, lambda _: None, 1.0)


def test_a_location_that_is_not_served_is_told_what_to_set(
    exchange: Exchange, rest: RestClient
) -> None:
    exchange.status, exchange.body = (
        451,
        '{"code": 0, "msg": "Service unavailable from a restricted location"}',
    )

    with pytest.raises(Incompatible, match="EXCHANGE_REST_URL"):
        rest.time_ms()
    with pytest.raises(Incompatible, match="EXCHANGE_STREAM_URL"):
        StreamClient(exchange.url.replace("http", "ws"), lambda _: None, lambda _: None, 1.0)


@pytest.mark.parametrize("status", [429, 418])
def test_retry_after_holds_back_every_call_for_exactly_so_long(
    exchange: Exchange, rest: RestClient, status: int
) -> None:
    exchange.status, exchange.body = status, '{"code": -1003, "msg": "Too many requests"}'
    exchange.headers = {"Retry-After": "1"}
    with pytest.raises(Throttled) as caught:
        rest.time_ms()
    assert caught.value.retry_after_s == 1.0

    exchange.status, exchange.body = 200, '{"serverTime": 5}'
    began = time.monotonic()
    assert rest.time_ms() == 5
    assert 0.9 <= time.monotonic() - began < 3.0


def test_a_ban_without_a_time_is_waited_out_for_the_shortest_ban_there_is() -> None:
    said = refusal("x", 418, None, "")

    assert isinstance(said, Throttled)
    assert said.retry_after_s == 120.0


def test_near_the_weight_limit_calls_wait_and_a_stop_ends_the_waiting(exchange: Exchange) -> None:
    stop = threading.Event()
    budget = RateLimiter(stop)
    rest = RestClient(exchange.url, budget)
    exchange.body = json.dumps(
        {
            "symbols": [],
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": 100,
                }
            ],
        }
    )
    exchange.headers = {"x-mbx-used-weight-1m": "79"}
    rest.statuses()
    exchange.body, exchange.headers = '{"serverTime": 5}', {"x-mbx-used-weight-1m": "80"}
    assert rest.time_ms() == 5
    assert budget.used == 80
    stop.set()

    with pytest.raises(Unavailable, match="stopping"):
        rest.time_ms()
    assert exchange.asked == 2
    rest.close()
