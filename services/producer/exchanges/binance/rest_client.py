"""Binance's REST service through binance-connector."""

import time
from collections.abc import Callable
from typing import Any, Final

import requests
from binance.error import ClientError, Error, ServerError
from binance.spot import Spot

from services.producer.exchanges.binance.http_errors import to_refusal
from services.producer.exchanges.binance.rate_limiter import RateLimiter
from services.producer.exchanges.binance.schemas import decode_rest_klines
from services.producer.ports import KlinePage, Throttled
from shared.core.errors import Incompatible, Unavailable

TIMEOUT_S: Final = 10.0
MAX_ROWS: Final = 1000
TRADING: Final = "TRADING"


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

    def list_symbols(self) -> dict[str, bool]:
        """Return every symbol listed, and whether its status is TRADING.

        Raises:
            Unavailable, Incompatible: as `server_time_ms`.
        """
        body = self._request("the symbols", dict, self._client.exchange_info)
        self._limiter.set_limit(body.get("rateLimits"))
        try:
            return {str(each["symbol"]): each["status"] == TRADING for each in body["symbols"]}
        except (KeyError, TypeError) as error:
            message = f"{self._url}: the response has no symbols with a status: {str(body)[:100]}"
            raise Unavailable(message) from error

    def fetch_klines(self, symbol: str, from_ms: int, settled_ms: int) -> KlinePage:
        """Return up to 1,000 klines that open at `from_ms` or later and closed before `settled_ms`.

        Raises:
            Unavailable, Incompatible: as `server_time_ms`.
        """
        rows = self._request(
            f"klines of {symbol}",
            list,
            lambda: self._client.klines(symbol, self._interval, startTime=from_ms, limit=MAX_ROWS),
        )
        arrival_ms = time.time_ns() // 1_000_000
        klines = decode_rest_klines(symbol, self._interval, rows, settled_ms, arrival_ms)
        return KlinePage(klines, has_more=len(rows) >= MAX_ROWS)

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
            raise Unavailable(
                f"{self._url}: unusable response to a request for {subject}: {str(body)[:100]!r}"
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
