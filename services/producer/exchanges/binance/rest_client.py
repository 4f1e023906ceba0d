"""Binance's REST service through binance-connector: its rate limit, its refusals, its client."""

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import requests
from binance.error import ClientError, Error, ServerError
from binance.spot import Spot

from services.producer.exchanges.binance.schemas import decode_rest_klines, decode_tickers
from services.producer.ports import DayTicker, KlinePage, ListedSymbol, Throttled
from shared.core.errors import Incompatible, Unavailable

TIMEOUT_S: Final = 10.0
MAX_ROWS: Final = 1000

WEIGHT_HEADER: Final = "x-mbx-used-weight-1m"
DEFAULT_WEIGHT_PER_MINUTE: Final = 6000
MAX_WEIGHT_SHARE: Final = 0.8  # the rest is for others behind the same address
WEIGHT_PAUSE_S: Final = 5.0  # the count starts anew each minute

# Without a Retry-After header: the minute of the weight limit, the shortest documented ban.
DEFAULT_RETRY_AFTER_S: Final = {429: 60.0, 418: 120.0}
RESTRICTED_LOCATION: Final = 451


class RateLimiter:
    """The request weight that Binance counts per IP address; one for all REST clients."""

    def __init__(self, stop: threading.Event) -> None:
        """Start with no weight used; `stop` ends every wait."""
        self._stop = stop
        self._limit = DEFAULT_WEIGHT_PER_MINUTE
        self._not_before_s = 0.0
        self.used = 0

    def acquire(self) -> None:
        """Wait until a request is allowed.

        Raises:
            Unavailable: the process stops first.
        """
        while (wait_s := self._not_before_s - time.monotonic()) > 0:
            if self._stop.wait(wait_s):
                raise Unavailable("stopping: no more requests are sent to the exchange")

    def update(self, headers: Mapping[str, str]) -> None:
        """Store the weight that Binance reports; pause when it nears the limit."""
        text = headers.get(WEIGHT_HEADER, "")
        self.used = int(text) if text.isdecimal() else self.used
        if self.used >= self._limit * MAX_WEIGHT_SHARE:
            self.pause(WEIGHT_PAUSE_S)

    def pause(self, seconds: float) -> None:
        """Allow no request for so long."""
        self._not_before_s = max(self._not_before_s, time.monotonic() + seconds)

    def set_limit(self, rate_limits: Any) -> None:
        """Store the limit that `rateLimits` of `exchangeInfo` names."""
        for limit in rate_limits if isinstance(rate_limits, list) else ():
            if limit.get("rateLimitType") == "REQUEST_WEIGHT" and limit.get("interval") == "MINUTE":
                self._limit = int(limit["limit"]) // int(limit.get("intervalNum", 1))


class BinanceRestClient:
    """One thread's connection to Binance's REST service; see `RestClient` in ports.py."""

    def __init__(self, url: str, interval: str, limiter: RateLimiter) -> None:
        """Prepare the client; it connects with its first request."""
        self._url, self._interval, self._limiter = url, interval, limiter
        self._client = Spot(base_url=url, timeout=TIMEOUT_S, show_limit_usage=True)

    def server_time_ms(self) -> int:
        """Return the exchange's time in milliseconds.

        Raises:
            Unavailable: there is no usable response.
            Incompatible: the exchange does not serve this location.
        """
        body = self._request("the time", dict, self._client.time)
        if not isinstance(body.get("serverTime"), int):
            raise Unavailable(f"{self._url}: the response has no serverTime: {str(body)[:100]}")
        return int(body["serverTime"])

    def list_symbols(self) -> dict[str, ListedSymbol]:
        """Return every symbol listed; it is being traded if its status is TRADING.

        Raises:
            Unavailable, Incompatible: as `server_time_ms`.
        """
        body = self._request("the symbols", dict, self._client.exchange_info)
        self._limiter.set_limit(body.get("rateLimits"))
        try:
            return {
                str(each["symbol"]): ListedSymbol(
                    each["status"] == "TRADING", str(each.get("quoteAsset", ""))
                )
                for each in body["symbols"]
            }
        except (KeyError, TypeError, AttributeError) as error:
            message = f"{self._url}: the response has no symbols with a status: {str(body)[:100]}"
            raise Unavailable(message) from error

    def fetch_tickers(self) -> list[DayTicker]:
        """Return the last 24 hours of every symbol.

        Raises:
            Unavailable, Incompatible: as `server_time_ms`.
        """
        send = partial(self._client.ticker_24hr, type="MINI")
        return decode_tickers(self._request("the turnover of symbols", list, send))

    def fetch_klines(
        self, symbol: str, from_ms: int, until_ms: int | None, max_rows: int
    ) -> KlinePage:
        """Return klines that open at `from_ms` or later and before `until_ms`, as they were sent.

        Raises:
            Unavailable, Incompatible: as `server_time_ms`.
        """
        limit = min(max_rows, MAX_ROWS)
        span = {"startTime": from_ms} if until_ms is None else _span(from_ms, until_ms)
        send = partial(self._client.klines, symbol, self._interval, limit=limit, **span)
        rows = self._request(f"klines of {symbol}", list, send)
        arrival_ms = time.time_ns() // 1_000_000
        klines = decode_rest_klines(symbol, self._interval, rows, arrival_ms)
        return KlinePage(klines, len(rows) >= limit, arrival_ms)

    def close(self) -> None:
        """Close the connection."""
        self._client.session.close()

    def _request(self, subject: str, kind: type, send: Callable[[], Any]) -> Any:
        """Send a request within the weight limit; return the body, checked to be of a kind."""
        self._limiter.acquire()
        try:
            response = send()
            self._limiter.update(response["limit_usage"])
        # The connector raises KeyError and TypeError for a refusal with an unexpected body.
        except (Error, requests.RequestException, KeyError, TypeError) as error:
            raise self._to_app_error(error, subject) from error
        # The connector returns a page of text with status 200 as if it were data.
        body = response["data"]
        if not isinstance(body, kind):
            text = str(body)[:100]
            raise Unavailable(
                f"{self._url}: unusable response to a request for {subject}: {text!r}"
            )
        return body

    def _to_app_error(self, error: Exception, subject: str) -> Unavailable | Incompatible:
        request = f"{self._url}: request for {subject}"
        if isinstance(error, ClientError):
            body = f"{error.error_code} {error.error_message}"
            refusal = to_refusal(request, error.status_code, error.header, body)
            if isinstance(refusal, Throttled):
                self._limiter.pause(refusal.retry_after_s)
            return refusal
        if isinstance(error, ServerError):
            return Unavailable(f"{request}: failed with HTTP {error.status_code}")
        return Unavailable(f"{request}: {type(error).__name__}: {str(error)[:200]}")


def _span(from_ms: int, until_ms: int) -> dict[str, int]:
    return {"startTime": from_ms, "endTime": until_ms - 1}  # Binance includes both ends


def to_refusal(
    request: str, status: int, headers: Mapping[str, str] | None, body: str
) -> Unavailable | Incompatible:
    """Return the error for an HTTP status from 400 to 499.

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
        return Incompatible(
            f"{message}; the host does not serve this location: set EXCHANGE_REST_URL and"
            " EXCHANGE_STREAM_URL to one that does, such as https://data-api.binance.vision"
            " and wss://data-stream.binance.vision"
        )
    return Unavailable(message)


def _retry_after_s(headers: Mapping[str, str], default_s: float) -> float:
    text = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    try:
        return float(text)
    except ValueError:
        return default_s
