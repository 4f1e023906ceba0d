"""The REST side: `/api/v3` as Binance answers it, faults of the caller included."""

import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.faults import Faults
from services.exchange_simulator.kline import rest_row
from services.exchange_simulator.limits import WEIGHT_PER_MINUTE, RateLimitDecision, WeightLimiter
from services.exchange_simulator.view import View

MAX_LIMIT: Final = 1000
SYMBOL_RANGE: Final = r"^[A-Z0-9-_.]{1,20}$"
NUMBER_RANGE: Final = r"^[0-9]{1,20}$"
RATE_LIMITS: Final = [
    {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": WEIGHT_PER_MINUTE,
    },
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
]
Answer = Callable[[Mapping[str, str]], object]


class RequestRefused(Exception):
    """Raised when a parameter is wrong; carries Binance's code and message."""

    def __init__(self, code: int, message: str) -> None:
        """Keep the code beside the message."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path: what it costs, what it may be asked, what it answers."""

    weight: int
    parameters: frozenset[str]
    answer: Answer


class RestApi:
    """Answers requests from a view of the market."""

    def __init__(self, view: View, clock: AcceleratedClock, faults: Faults) -> None:
        """Start with an unused budget."""
        self._view = view
        self._clock = clock
        self._faults = faults
        self._budget = WeightLimiter()
        klines = frozenset({"symbol", "interval", "limit", "startTime", "endTime", "timeZone"})
        filters = frozenset(
            {"symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"}
        )
        self._endpoints = {
            "ping": Endpoint(1, frozenset(), lambda _: {}),
            "time": Endpoint(1, frozenset(), lambda _: {"serverTime": self._now_ms()}),
            "exchangeInfo": Endpoint(20, filters, self._exchange_info),
            "klines": Endpoint(2, klines, self._klines),
        }

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of all endpoints."""
        return [
            web.get(f"/api/v3/{name}", self._answerer(endpoint))
            for name, endpoint in self._endpoints.items()
        ]

    def _answerer(
        self, endpoint: Endpoint
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            if (fault := await self._faults.on_request(request)) is not None:
                return fault
            verdict = self._budget.spend(endpoint.weight, time.monotonic())
            if verdict.status != 200:
                return self._over_limit(verdict)
            try:
                return _json(
                    endpoint.answer(_parameters(request, endpoint.parameters)), 200, verdict
                )
            except RequestRefused as error:
                return _json({"code": error.code, "msg": str(error)}, 400, verdict)

        return answer

    def _over_limit(self, verdict: RateLimitDecision) -> web.Response:
        limit = f"current limit is {WEIGHT_PER_MINUTE} request weight per 1 MINUTE"
        until_ms = self._now_ms() + verdict.retry_after_s * 1000
        what = f"IP banned until {until_ms}" if verdict.status == 418 else limit
        message = (
            f"Too much request weight used; {what}. Please use WebSocket Streams for live updates."
        )
        response = _json({"code": -1003, "msg": message}, verdict.status, verdict)
        response.headers["Retry-After"] = str(verdict.retry_after_s)
        return response

    def _now_ms(self) -> int:
        return self._clock.time_ms(time.monotonic())

    def _klines(self, given: Mapping[str, str]) -> object:
        symbol = _mandatory(given, "symbol", SYMBOL_RANGE)
        interval = _mandatory(given, "interval", r"^.+$")
        if symbol not in self._view.market.symbols:
            raise RequestRefused(-1121, "Invalid symbol.")
        if interval != self._view.interval:
            raise RequestRefused(-1120, "Invalid interval.")
        limit = _number(given, "limit")
        if limit == 0:
            raise RequestRefused(-1130, "Data sent for parameter 'limit' is not valid.")
        start_ms, end_ms = _number(given, "startTime"), _number(given, "endTime")
        rows = self._view.klines(
            symbol, start_ms, end_ms, min(limit or 500, MAX_LIMIT), self._now_ms()
        )
        return [rest_row(row, self._view.interval_ms) for row in rows]

    def _exchange_info(self, given: Mapping[str, str]) -> object:
        return {
            "timezone": "UTC",
            "serverTime": self._now_ms(),
            "rateLimits": RATE_LIMITS,
            "exchangeFilters": [],
            "symbols": [_symbol_info(symbol) for symbol in self._asked_symbols(given)],
        }

    def _asked_symbols(self, given: Mapping[str, str]) -> tuple[str, ...]:
        if "symbol" in given and "symbols" in given:
            raise RequestRefused(-1128, "Combination of optional parameters invalid.")
        if "symbol" in given:
            asked: tuple[str, ...] = (_mandatory(given, "symbol", SYMBOL_RANGE),)
        elif "symbols" in given:
            asked = _symbol_list(given["symbols"])
        else:
            return self._view.market.symbols
        if not set(asked) <= set(self._view.market.symbols):
            raise RequestRefused(-1121, "Invalid symbol.")
        return asked


def _json(body: object, status: int, verdict: RateLimitDecision) -> web.Response:
    used = str(verdict.used_weight)
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
            f"Not all sent parameters were read; read '{sent - len(read)}' parameter(s) but was sent '{sent}'.",
        )
    return query


def _mandatory(given: Mapping[str, str], name: str, legal: str) -> str:
    if name not in given:
        raise RequestRefused(
            -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        )
    return _legal(given[name], name, legal)


def _number(given: Mapping[str, str], name: str) -> int | None:
    return int(_legal(given[name], name, NUMBER_RANGE)) if name in given else None


def _legal(text: str, name: str, legal: str) -> str:
    if not text:
        raise RequestRefused(-1105, f"Parameter '{name}' was empty.")
    if not re.fullmatch(legal, text):
        raise RequestRefused(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
        )
    return text


def _symbol_list(text: str) -> tuple[str, ...]:
    try:
        symbols = json.loads(text)
    except ValueError:
        symbols = None
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        legal = r'^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$'
        raise RequestRefused(
            -1100, f"Illegal characters found in parameter 'symbols'; legal range is '{legal}'."
        )
    return tuple(symbols)


def _symbol_info(symbol: str) -> dict[str, object]:
    quote = next(
        (name for name in ("USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB") if symbol.endswith(name)),
        "",
    )
    return {
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": symbol.removesuffix(quote) if quote else symbol,
        "quoteAsset": quote,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": "0.00000001",
                "maxPrice": "1000000",
                "tickSize": "0.00000001",
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": "0.00000001",
                "maxQty": "90000000000",
                "stepSize": "0.00000001",
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }
