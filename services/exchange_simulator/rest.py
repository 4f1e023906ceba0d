"""The REST service: `/api/v3` with Binance's responses, also to invalid requests."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.kline import to_rest_row
from services.exchange_simulator.limits import (
    WEIGHT_PER_MINUTE,
    RateLimitDecision,
    RequestRefused,
    WeightLimiter,
)
from services.exchange_simulator.market_view import MarketView
from services.exchange_simulator.ticker import DAY_MS, TYPES, to_day_ticker
from shared.core.bounded_json import decode_json
from shared.core.errors import BadInput
from shared.core.symbols import is_symbol

MAX_LIMIT: Final = 1000
SYMBOL_RANGE: Final = r"^[\w\-._&&[^a-z]]{1,50}$"  # in Java's notation
NUMBER_RANGE: Final = r"^[0-9]{1,20}$"
REQUEST_WEIGHT: Final = {
    "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1
}  # fmt: skip
RAW_REQUESTS: Final = {
    "rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000
}  # fmt: skip
QUOTE_ASSETS: Final = ("USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB")
SPOT_SYMBOL: Final = {
    "baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8,
    "orderTypes": ["LIMIT", "MARKET"], "isSpotTradingAllowed": True,
    "isMarginTradingAllowed": False,
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.00000001", "maxPrice": "1000000",
         "tickSize": "0.00000001"},
        {"filterType": "LOT_SIZE", "minQty": "0.00000001", "maxQty": "90000000000",
         "stepSize": "0.00000001"},
    ],
    "permissions": [], "permissionSets": [["SPOT"]],
}  # fmt: skip
Respond = Callable[[Mapping[str, str]], object]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path: its request weight, its parameters, and the function that responds."""

    weight: int
    parameters: frozenset[str]
    respond: Respond


class RestApi:
    """Responds to requests from a view of the market."""

    def __init__(
        self, view: MarketView, clock: AcceleratedClock, weight_limit: int = WEIGHT_PER_MINUTE
    ) -> None:
        """Start with no request weight used of a limit by the minute."""
        self._view = view
        self._clock = clock
        self._limiter = WeightLimiter(weight_limit)
        klines = frozenset({"symbol", "interval", "limit", "startTime", "endTime", "timeZone"})
        filters = frozenset(
            {"symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"}
        )
        self._endpoints = {
            "ping": Endpoint(1, frozenset(), lambda _: {}),
            "time": Endpoint(1, frozenset(), lambda _: {"serverTime": self._clock.now_ms()}),
            "exchangeInfo": Endpoint(20, filters, self._exchange_info),
            "klines": Endpoint(2, klines, self._klines),
            # The weight of all symbols; Binance asks less for a few.
            "ticker/24hr": Endpoint(80, frozenset({"symbol", "symbols", "type"}), self._tickers),
        }

    @property
    def weights(self) -> Mapping[str, int]:
        """The request weight of each endpoint."""
        return {name: endpoint.weight for name, endpoint in self._endpoints.items()}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of all endpoints."""
        return [
            web.get(f"/api/v3/{name}", self._handler(endpoint))
            for name, endpoint in self._endpoints.items()
        ]

    def _handler(
        self, endpoint: Endpoint
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            decision = self._limiter.spend(endpoint.weight, time.monotonic())
            if decision.status != 200:
                return self._over_limit(decision)
            try:
                query = _parameters(request, endpoint.parameters)
                return _json(endpoint.respond(query), 200, decision)
            except RequestRefused as error:
                return _json({"code": error.code, "msg": str(error)}, 400, decision)

        return handle

    def _over_limit(self, decision: RateLimitDecision) -> web.Response:
        limit = f"current limit is {self._limiter.limit} request weight per 1 MINUTE"
        until_ms = self._clock.now_ms() + decision.retry_after_s * 1000
        reason = f"IP banned until {until_ms}" if decision.status == 418 else limit
        advice = "Please use WebSocket Streams for live updates."
        message = f"Too much request weight used; {reason}. {advice}"
        response = _json({"code": -1003, "msg": message}, decision.status, decision)
        response.headers["Retry-After"] = str(decision.retry_after_s)
        return response

    def _klines(self, query: Mapping[str, str]) -> object:
        symbol = _required(query, "symbol", SYMBOL_RANGE)
        interval = _required(query, "interval", r"^.+$")
        if not self._view.is_listed(symbol, self._clock.now_ms()):
            raise RequestRefused(-1121, "Invalid symbol.")
        if interval != self._view.interval:
            raise RequestRefused(-1120, "Invalid interval.")
        limit = _integer(query, "limit")
        if limit == 0:
            raise RequestRefused(-1130, "Data sent for parameter 'limit' is not valid.")
        start_ms, end_ms = _integer(query, "startTime"), _integer(query, "endTime")
        rows = self._view.klines(
            symbol, start_ms, end_ms, min(limit or 500, MAX_LIMIT), self._clock.now_ms()
        )
        return [to_rest_row(row, self._view.interval_ms) for row in rows]

    def _tickers(self, query: Mapping[str, str]) -> object:
        kind, symbols = query.get("type", TYPES[0]), self._requested_symbols(query)
        if kind not in TYPES:
            raise RequestRefused(-1139, "Invalid ticker type.")
        now_ms = self._clock.now_ms()
        tickers = [
            to_day_ticker(symbol, self._view.last(symbol, DAY_MS, now_ms), now_ms, kind)
            for symbol in symbols
        ]
        return tickers[0] if "symbol" in query else tickers

    def _exchange_info(self, query: Mapping[str, str]) -> object:
        return {
            "timezone": "UTC",
            "serverTime": self._clock.now_ms(),
            "rateLimits": [REQUEST_WEIGHT | {"limit": self._limiter.limit}, RAW_REQUESTS],
            "exchangeFilters": [],
            "symbols": self._symbol_infos(query),
        }

    def _symbol_infos(self, query: Mapping[str, str]) -> list[dict[str, object]]:
        listed = self._view.listed(self._clock.now_ms())
        return [_symbol_info(symbol, listed[symbol]) for symbol in self._requested_symbols(query)]

    def _requested_symbols(self, query: Mapping[str, str]) -> tuple[str, ...]:
        if "symbol" in query and "symbols" in query:
            raise RequestRefused(-1128, "Combination of optional parameters invalid.")
        if "symbol" in query:
            symbols: tuple[str, ...] = (_required(query, "symbol", SYMBOL_RANGE),)
        elif "symbols" in query:
            symbols = _symbol_list(query["symbols"])
        else:
            return tuple(self._view.listed(self._clock.now_ms()))
        now_ms = self._clock.now_ms()
        if not all(self._view.is_listed(symbol, now_ms) for symbol in symbols):
            raise RequestRefused(-1121, "Invalid symbol.")
        return symbols


def _json(body: object, status: int, decision: RateLimitDecision) -> web.Response:
    used = str(decision.used_weight)
    headers = {"x-mbx-used-weight": used, "x-mbx-used-weight-1m": used}
    return web.json_response(body, status=status, headers=headers)


def _parameters(request: web.Request, known: frozenset[str]) -> Mapping[str, str]:
    query = request.query
    for name in query:
        if len(query.getall(name)) > 1:
            raise RequestRefused(-1101, f"Duplicate values for parameter '{name}' detected.")
    if read := set(query) - known:
        sent = len(query)
        raise RequestRefused(
            -1104,
            f"Not all sent parameters were read; read '{sent - len(read)}' parameter(s)"
            f" but was sent '{sent}'.",
        )
    return query


def _required(query: Mapping[str, str], name: str, pattern: str) -> str:
    if name not in query:
        raise RequestRefused(
            -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        )
    return _checked(query[name], name, pattern)


def _integer(query: Mapping[str, str], name: str) -> int | None:
    return int(_checked(query[name], name, NUMBER_RANGE)) if name in query else None


def _checked(text: str, name: str, pattern: str) -> str:
    if not text:
        raise RequestRefused(-1105, f"Parameter '{name}' was empty.")
    is_legal = is_symbol(text) if pattern == SYMBOL_RANGE else re.fullmatch(pattern, text)
    if not is_legal:
        raise RequestRefused(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'."
        )
    return text


def _symbol_list(text: str) -> tuple[str, ...]:
    try:
        symbols = decode_json(text)
    except BadInput:
        symbols = None
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        pattern = r'^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'
        raise RequestRefused(
            -1100, f"Illegal characters found in parameter 'symbols'; legal range is '{pattern}'."
        )
    return tuple(symbols)


def _symbol_info(symbol: str, status: str) -> dict[str, object]:
    quote = next((name for name in QUOTE_ASSETS if symbol.endswith(name)), "")
    base = symbol.removesuffix(quote) if quote else symbol
    return {"symbol": symbol, "baseAsset": base, "quoteAsset": quote, **SPOT_SYMBOL} | {
        "status": status
    }
