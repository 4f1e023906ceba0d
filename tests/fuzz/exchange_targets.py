"""Decoders of what the exchange and the services say over the network."""

import json
from contextlib import suppress
from typing import Any, Final

from services.cli.commands.symbols import _get
from services.dashboard.cluster.service_client import ServiceAddress
from services.dashboard.cluster.service_client import fetch as fetch_page
from services.exchange_simulator.connection import decode_message, parse_method
from services.exchange_simulator.limits import RequestRefused
from services.exchange_simulator.rest import _symbol_list
from services.producer.exchanges.binance import schemas
from services.producer.exchanges.binance.bounded_http import BoundedSession, Bounds, fetch
from services.producer.exchanges.binance.rest_client import (
    MAX_LISTING_BYTES,
    MAX_LISTING_VALUES,
    to_refusal,
)
from shared.adapters.prometheus_text import parse_metrics
from shared.adapters.schemas.standings import decode_standings
from shared.core.bounded_json import decode_json
from shared.core.errors import UlstmError
from tests.fuzz.target import HTTP, LINES, Target
from tests.support.builders import START_MS, STEP_MS
from tests.support.raw_server import raw_server, send

_BINANCE: Final = "services/producer/exchanges/binance"
_KLINE: Final = {
    **{"t": START_MS, "T": START_MS + STEP_MS - 1, "s": "BTCUSDT", "i": "5m", "f": 1, "L": 2},
    **{"o": "1.0", "c": "1.1", "h": "1.2", "l": "0.9", "v": "3", "n": 4, "x": True, "q": "3.3"},
    **{"V": "1", "Q": "1.1", "B": "0"},
}
_MESSAGE: Final = {"e": "kline", "E": START_MS + STEP_MS, "s": "BTCUSDT", "k": _KLINE}
_ROW: Final = [START_MS, "1.0", "1.2", "0.9", "1.1", "3", START_MS + STEP_MS - 1, "3.3", 4, "1"]
_LISTED: Final = {"symbol": "BTCUSDT", "status": "TRADING", "quoteAsset": "USDT"}
_LIMIT: Final = {
    "rateLimitType": "REQUEST_WEIGHT",
    "interval": "MINUTE",
    "intervalNum": 1,
    "limit": 9,
}
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-MBX-USED-WEIGHT-1M: 5\r\n\r\n{}"
_METRICS: Final = (
    b"# HELP ulstm_producer_lag x\n# TYPE ulstm_producer_lag gauge\n"
    b'ulstm_producer_lag{symbol="BTCUSDT",le="+Inf"} 1.5 1735689600000\n'
    b'# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n'
)
_STANDINGS: Final = {
    "counts": {"following": 1},
    "symbols": [
        {
            "symbol": "BTCUSDT",
            "standing": "lagging",
            "since_ms": START_MS,
            "next_open_time_ms": START_MS,
            "reason": "x",
        }
    ],
}


def _stream(data: bytes) -> None:
    schemas.decode_message(data, "5m", START_MS)


def _rest(data: bytes) -> None:
    """Take an answer for that to each request that there is."""
    body = decode_json(data, max_bytes=MAX_LISTING_BYTES, max_values=MAX_LISTING_VALUES)
    decoders = (
        lambda: schemas.decode_rest_klines("BTCUSDT", "5m", body, START_MS),
        lambda: schemas.decode_tickers(body),
        lambda: schemas.decode_listing(body),
        lambda: schemas.decode_weight_limit(body),
        lambda: schemas.decode_server_time(body),
    )
    for decode in decoders:
        with suppress(UlstmError):
            decode()


def _http(data: bytes) -> None:
    """Read bytes as the answer of an exchange, and as that of a service."""
    with raw_server(send(data)) as port:
        url = f"http://127.0.0.1:{port}"
        with suppress(UlstmError), BoundedSession() as session:
            response = fetch(session, url, {}, Bounds(5.0, 1_000_000))
            to_refusal(url, response.status, response.headers, "")
        with suppress(UlstmError):
            _get(url)
        fetch_page(ServiceAddress(url, "127.0.0.1"), "/metrics", 1_000_000, 5.0)


def _client_message(data: bytes) -> None:
    text = data.decode(errors="replace")
    with suppress(RequestRefused):
        _symbol_list(text)
    parse_method(decode_message(text))


def _json(*values: Any) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)


EXCHANGE_TARGETS: Final = (
    Target(
        "stream",
        _stream,
        _json(_MESSAGE, {"data": _MESSAGE}, {"id": 1, "result": None}, {"e": "serverShutdown"}),
        (f"{_BINANCE}/schemas.py: decode_message",),
    ),
    Target(
        "rest",
        _rest,
        _json(
            [[*_ROW, "1.1", "0"]],
            [{"symbol": "BTCUSDT", "quoteVolume": "1", "highPrice": "2", "lowPrice": "1"}],
            {"symbols": [_LISTED], "rateLimits": [_LIMIT], "serverTime": START_MS},
        ),
        (f"{_BINANCE}/rest_client.py: BinanceRestClient._request",),
        max_mb=500,
    ),
    Target(
        "http",
        _http,
        (_HEAD, _HEAD.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")),
        (
            f"{_BINANCE}/bounded_http.py: _read_body",
            "services/dashboard/cluster/service_client.py: _read_body",
            "services/cli/commands/symbols.py: _get",
        ),
        kind=HTTP,
    ),
    Target(
        "standings",
        decode_standings,
        _json(_STANDINGS),
        ("shared/adapters/schemas/standings.py: decode_standings",),
    ),
    Target(
        "metrics",
        parse_metrics,
        (_METRICS,),
        ("shared/adapters/prometheus_text.py: parse_metrics",),
        kind=LINES,
    ),
    Target(
        "simulator",
        _client_message,
        _json({"method": "SUBSCRIBE", "params": ["btcusdt@kline_5m"], "id": 7}),
        (
            "services/exchange_simulator/connection.py: decode_message",
            "services/exchange_simulator/rest.py: _symbol_list",
        ),
        errors=(RequestRefused,),
        max_mb=500,
    ),
)
