"""Binance's REST service through binance-connector: its weights, its refusals, its client."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from binance.spot import Spot

from services.producer.exchanges.binance.bounded_http import (
    BoundedSession,
    Bounds,
    HttpResponse,
    fetch,
)
from services.producer.exchanges.binance.schemas import (
    decode_listing,
    decode_rest_klines,
    decode_server_time,
    decode_tickers,
    decode_weight_limit,
)
from services.producer.ports import DayTicker, KlinePage, ListedSymbol, SymbolRefused, Throttled
from services.producer.rest.requests import Priority
from services.producer.rest.weight_budget import MAX_BAN_S, WeightBudget
from shared.core.bounded_json import MAX_VALUES, decode_json
from shared.core.errors import BadInput, Unavailable

T = TypeVar("T")

MAX_ROWS: Final = 1000
MAX_BODY_BYTES: Final = 8_000_000  # 1,000 klines take 200,000
MAX_LISTING_BYTES: Final = 32_000_000  # every symbol with its filters and permissions
MAX_LISTING_VALUES: Final = 2_000_000

KLINES_WEIGHT, TIME_WEIGHT, LISTING_WEIGHT, TICKERS_WEIGHT = 2, 1, 20, 80
WEIGHT_HEADER: Final = "x-mbx-used-weight-1m"
MAX_WEIGHT_DIGITS: Final = 9

# Without a usable Retry-After: the minute of the weight limit, the shortest documented ban.
DEFAULT_RETRY_AFTER_S: Final = {429: 60.0, 418: 120.0}
MIN_RETRY_AFTER_S: Final = 1.0
RESTRICTED_LOCATION: Final = 451
# Of any request, whatever it asks for: the firewall, a timeout.
PASSING_REFUSALS: Final = {403, 408, 425}


class BinanceRestClient:
    """One thread's connection to Binance's REST service; see `RestClient` in ports.py."""

    def __init__(self, url: str, interval: str, deadline_s: float, budget: WeightBudget) -> None:
        """Prepare the client; it connects with its first request.

        Args:
            url: the service's address.
            interval: the interval of the klines.
            deadline_s: seconds until a response must be complete.
            budget: the request weight, shared by all clients.
        """
        self._url, self._interval, self._budget = url, interval, budget
        self._client = _BoundedSpot(url, deadline_s)

    def server_time_ms(self) -> int:
        """Return the exchange's time in milliseconds.

        Raises:
            Unavailable: there is no usable response.
        """
        self._budget.acquire(TIME_WEIGHT)
        return self._request("the time", self._client.time, decode_server_time)

    def list_symbols(self) -> dict[str, ListedSymbol]:
        """Return every symbol listed; it is being traded if its status is TRADING.

        Raises:
            Unavailable: there is no usable response.
        """
        self._budget.acquire(LISTING_WEIGHT)
        send, decode = self._client.exchange_info, self._decode_listing
        return self._request("the symbols", send, decode, MAX_LISTING_VALUES)

    def fetch_tickers(self) -> list[DayTicker]:
        """Return the last 24 hours of every symbol.

        Raises:
            Unavailable: there is no usable response.
        """
        self._budget.acquire(TICKERS_WEIGHT, Priority.PRICES)
        send = partial(self._client.ticker_24hr, type="MINI")
        return self._request("the turnover of symbols", send, decode_tickers)

    def fetch_klines(
        self, symbol: str, from_ms: int, until_ms: int | None, max_rows: int
    ) -> KlinePage:
        """Return klines that open at `from_ms` or later and before `until_ms`, as they were sent.

        Raises:
            Unavailable: there is no usable response.
            SymbolRefused: the exchange refuses the symbol.
        """
        self._budget.check_ban()
        limit = min(max_rows, MAX_ROWS)
        # Binance includes both ends.
        span = {"startTime": from_ms, "endTime": None if until_ms is None else until_ms - 1}
        send = partial(self._client.klines, symbol, self._interval, limit=limit, **span)

        def decode(body: Any) -> KlinePage:
            arrival_ms = time.time_ns() // 1_000_000
            rows = decode_rest_klines(symbol, self._interval, body, arrival_ms)
            return KlinePage(rows, len(rows) >= limit, arrival_ms)

        return self._request(f"klines of {symbol}", send, decode)

    def close(self) -> None:
        """Close the connection."""
        self._client.session.close()

    def _decode_listing(self, body: Any) -> dict[str, ListedSymbol]:
        self._budget.set_limit(decode_weight_limit(body))
        return decode_listing(body)

    def _request(
        self,
        subject: str,
        send: Callable[[], HttpResponse],
        decode: Callable[[Any], T],
        max_values: int = MAX_VALUES,
    ) -> T:
        """Send a request and return the response's decoded body."""
        response, request = send(), f"{self._url}: request for {subject}"
        self._report_weight(response.headers)
        if response.status != 200:
            raise self._refuse(request, response)
        try:
            # Its size was bounded while it was read.
            size = len(response.body)
            return decode(decode_json(response.body, max_bytes=size, max_values=max_values))
        except BadInput as error:
            excerpt = f"{error}: {response.body[:100]!r}"
            raise Unavailable(f"{request}: unusable response: {excerpt}") from error

    def _report_weight(self, headers: Mapping[str, str]) -> None:
        text = headers.get(WEIGHT_HEADER, "")
        if text.isdecimal() and len(text) <= MAX_WEIGHT_DIGITS:
            self._budget.report_used(int(text))

    def _refuse(self, request: str, response: HttpResponse) -> Unavailable:
        body = repr(response.body[:200].decode(errors="replace"))
        refusal = to_refusal(request, response.status, response.headers, body)
        if isinstance(refusal, Throttled):
            self._budget.ban(refusal.retry_after_s)
        return refusal


class _BoundedSpot(Spot):  # type: ignore[misc]  # the connector has no types
    """The connector's paths and parameters; every request gives its response, within bounds."""

    def __init__(self, url: str, deadline_s: float) -> None:
        super().__init__(base_url=url)
        self.session, self._deadline_s = BoundedSession(), deadline_s

    def send_request(
        self, http_method: str, url_path: str, payload: Mapping[str, Any] | None = None
    ) -> HttpResponse:
        """Send a request; the connector's own knows no deadline, no size and no broken body."""
        is_listing = url_path.endswith("/exchangeInfo")
        max_bytes = MAX_LISTING_BYTES if is_listing else MAX_BODY_BYTES
        params = {name: value for name, value in (payload or {}).items() if value is not None}
        bounds = Bounds(self._deadline_s, max_bytes)
        return fetch(self.session, f"{self.base_url}{url_path}", params, bounds)


def to_refusal(
    request: str, status: int, headers: Mapping[str, str] | None, body: str
) -> Unavailable:
    """Return the error for an HTTP status other than 200.

    Args:
        request: the address and what was requested, for the message.
        status: the HTTP status.
        headers: the response's headers, for `Retry-After`.
        body: the error code and message of the response.
    """
    message = f"{request}: refused with HTTP {status} {body[:200]}".rstrip()
    if status in DEFAULT_RETRY_AFTER_S:
        seconds = _retry_after_s(headers or {}, DEFAULT_RETRY_AFTER_S[status])
        return Throttled(f"{message}; sending nothing for {seconds:g} s", seconds)
    if status == RESTRICTED_LOCATION:
        return Unavailable(
            f"{message}; the host does not serve this location: set EXCHANGE_REST_URL and"
            " EXCHANGE_STREAM_URL to one that does, such as https://data-api.binance.vision"
            " and wss://data-stream.binance.vision"
        )
    if 400 <= status < 500 and status not in PASSING_REFUSALS:
        return SymbolRefused(message)
    return Unavailable(message)


def _retry_after_s(headers: Mapping[str, str], default_s: float) -> float:
    """Return the seconds to wait; the default if the header cannot be right."""
    text = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        return default_s
    return max(MIN_RETRY_AFTER_S, seconds) if 0 <= seconds <= MAX_BAN_S else default_s
