"""The clients against a server whose responses the test sets."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from services.producer.exchanges.binance.exchange import BinanceExchange
from services.producer.exchanges.binance.rest_client import BinanceRestClient, to_refusal
from services.producer.ports import DayTicker, ListedSymbol, RestLimits, Throttled
from shared.core.errors import Unavailable
from shared.local_servers.programs import free_port
from tests.support.builders import STEP_MS


@dataclass
class ScriptedServer:
    """The server's next response, and the number of requests so far."""

    url: str
    status: int = 200
    body: str = '{"serverTime": 5}'
    headers: dict[str, str] = field(default_factory=dict)
    requests: int = 0


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            script.requests += 1
            self.send_response(script.status)
            length = {"Content-Length": str(len(script.body))}
            for name, value in (length | script.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(script.body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
            pass

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.daemon_threads = True
    script = ScriptedServer(f"http://127.0.0.1:{http_server.server_port}")
    thread = threading.Thread(target=http_server.serve_forever)
    thread.start()
    yield script
    http_server.shutdown()
    http_server.server_close()
    thread.join()


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


def binance_at(rest_url: str, stop: threading.Event) -> BinanceExchange:
    return BinanceExchange("5m", rest_url, rest_url.replace("http", "ws"), RestLimits(), stop)


@pytest.fixture
def exchange(server: ScriptedServer, stop: threading.Event) -> BinanceExchange:
    return binance_at(server.url, stop)


@pytest.fixture
def rest(exchange: BinanceExchange) -> Iterator[BinanceRestClient]:
    rest = exchange.open_rest()
    yield rest
    rest.close()


def test_a_response_is_decoded(server: ScriptedServer, rest: BinanceRestClient) -> None:
    assert rest.server_time_ms() == 5
    listed = [
        {"symbol": "BTCUSDT", "status": "TRADING", "quoteAsset": "USDT"},
        {"symbol": "XUSDT", "status": "BREAK"},
    ]
    server.body = json.dumps({"symbols": listed, "rateLimits": []})
    assert rest.list_symbols() == {
        "BTCUSDT": ListedSymbol(True, "USDT", "TRADING"),
        "XUSDT": ListedSymbol(False, "", "BREAK"),
    }
    ticker = {"symbol": "BTCUSDT", "quoteVolume": "9.5", "highPrice": "2.0", "lowPrice": "1.0"}
    server.body = json.dumps([ticker, {"symbol": "XUSDT"}, "nonsense"])
    assert rest.fetch_tickers() == [DayTicker("BTCUSDT", 9.5, 2.0, 1.0)]
    prices = ["1.0"] * 5
    server.body = json.dumps([[STEP_MS, *prices, 2 * STEP_MS - 1, "1.0", 1, "1.0", "1.0", "0"]])
    page = rest.fetch_klines("BTCUSDT", 0, None, 2)
    assert [kline.open_time_ms for kline in page.rows] == [STEP_MS]
    assert not page.has_more


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
def test_an_unusable_response_is_unavailable_and_names_the_host(
    server: ScriptedServer, rest: BinanceRestClient, status: int, body: str
) -> None:
    server.status, server.body = status, body

    with pytest.raises(Unavailable, match=server.url):
        rest.fetch_klines("BTCUSDT", 0, None, 1_000)


def test_a_missing_server_is_unavailable(stop: threading.Event) -> None:
    exchange = binance_at(f"http://127.0.0.1:{free_port()}", stop)
    rest = exchange.open_rest()
    with pytest.raises(Unavailable):
        rest.server_time_ms()
    rest.close()


def test_a_location_that_is_not_served_gets_the_settings_to_change(
    server: ScriptedServer, rest: BinanceRestClient
) -> None:
    server.status = 451
    server.body = '{"code": 0, "msg": "Service unavailable from a restricted location"}'

    with pytest.raises(Unavailable, match="EXCHANGE_REST_URL"):
        rest.server_time_ms()


@pytest.mark.parametrize("status", [429, 418])
def test_retry_after_holds_back_every_call_for_exactly_so_long(
    server: ScriptedServer, rest: BinanceRestClient, status: int
) -> None:
    server.status, server.body = status, '{"code": -1003, "msg": "Too many requests"}'
    server.headers = {"Retry-After": "1"}
    with pytest.raises(Throttled) as caught:
        rest.server_time_ms()
    assert caught.value.retry_after_s == 1.0

    server.status, server.body = 200, '{"serverTime": 5}'
    began = time.monotonic()
    assert rest.server_time_ms() == 5
    assert 0.9 <= time.monotonic() - began < 3.0


def test_a_ban_without_a_time_lasts_as_long_as_the_shortest_ban_there_is() -> None:
    refusal = to_refusal("x", 418, None, "")

    assert isinstance(refusal, Throttled)
    assert refusal.retry_after_s == 120.0


def test_at_the_share_of_the_weight_limit_calls_wait_and_a_stop_ends_the_waiting(
    server: ScriptedServer,
    exchange: BinanceExchange,
    rest: BinanceRestClient,
    stop: threading.Event,
) -> None:
    limit = {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": 100,
    }
    server.body = json.dumps({"symbols": [], "rateLimits": [limit]})
    server.headers = {"x-mbx-used-weight-1m": "59"}
    rest.list_symbols()
    server.body, server.headers = '{"serverTime": 5}', {"x-mbx-used-weight-1m": "60"}
    assert rest.server_time_ms() == 5
    assert exchange.used_weight == 60
    stop.set()

    with pytest.raises(Unavailable, match="stopping"):
        rest.server_time_ms()
    assert server.requests == 2
