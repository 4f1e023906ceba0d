"""The exchange through binance-connector: what it raises ends here, named by what to do."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import requests
from binance.error import ClientError, Error, ServerError
from binance.spot import Spot
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient
from websocket import WebSocketBadStatusException, WebSocketException

from shared.core.errors import Incompatible, Unavailable

REST_TIMEOUT_S: Final = 10.0
ROWS_AT_MOST: Final = 1000
STREAMS_AT_MOST: Final = 1024  # of one connection
STREAMS_A_MESSAGE: Final = 200  # longer ones lose the connection
BETWEEN_MESSAGES_S: Final = 0.5  # the exchange takes 5 a second, pongs included
SHARE_OF_WEIGHT: Final = 0.8
WEIGHT_WAIT_S: Final = 5.0
_DEFAULT_WEIGHT: Final = 6000  # a minute
_STOP_S: Final = 5.0
_RETRY_AFTER_S: Final = {429: 60.0, 418: 120.0}  # where the exchange does not say

_silent = logging.getLogger("ulstm.binance-connector")
_silent.setLevel(logging.CRITICAL)  # what it logs, it also raises or tells by callback


class Throttled(Unavailable):
    """Raised when the exchange says how long to stay away."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        """Keep the time in seconds beside the message."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimiter:
    """The weight of REST calls, which the exchange counts by address: shared by all threads that call it."""

    def __init__(self, stop: threading.Event) -> None:
        """Start with nothing used."""
        self._stop = stop
        self._limit = _DEFAULT_WEIGHT
        self._not_before_s = 0.0
        self.used = 0

    def await_turn(self) -> None:
        """Wait until a call is allowed.

        Raises:
            Unavailable: the process stops first.
        """
        while (wait := self._not_before_s - time.monotonic()) > 0:
            if self._stop.wait(wait):
                raise Unavailable("stopping: the exchange is not asked any more")

    def spent(self, limit_usage: Mapping[str, str]) -> None:
        """Take note of what the exchange counts in this minute; near the limit, wait for the next."""
        try:
            self.used = int(limit_usage["x-mbx-used-weight-1m"])
        except (KeyError, ValueError):
            return
        if self.used >= self._limit * SHARE_OF_WEIGHT:
            self.stay_away(WEIGHT_WAIT_S)

    def stay_away(self, seconds: float) -> None:
        """Allow no call for so long."""
        self._not_before_s = max(self._not_before_s, time.monotonic() + seconds)

    def learn_limit(self, rate_limits: Any) -> None:
        """Take the limit from `exchangeInfo`."""
        for limit in rate_limits if isinstance(rate_limits, list) else ():
            if limit.get("rateLimitType") == "REQUEST_WEIGHT" and limit.get("interval") == "MINUTE":
                self._limit = int(limit["limit"]) // int(limit.get("intervalNum", 1))


class RestClient:
    """One thread's connection to the exchange's REST service."""

    def __init__(self, url: str, budget: RateLimiter) -> None:
        """Prepare; connects on first use."""
        self._url, self._budget = url, budget
        self._client = Spot(base_url=url, timeout=REST_TIMEOUT_S, show_limit_usage=True)

    def time_ms(self) -> int:
        """Return exchange time.

        Raises:
            Unavailable: the exchange does not answer, or as it should.
            Incompatible: it never will from here.
        """
        said = self._asked("its time", dict, self._client.time)
        if not isinstance(said.get("serverTime"), int):
            raise Unavailable(f"{self._url} says its time is {str(said)[:100]}")
        return int(said["serverTime"])

    def statuses(self) -> dict[str, str]:
        """Return the status of each symbol the exchange lists, such as TRADING.

        Raises:
            Unavailable, Incompatible: as `time_ms`.
        """
        said = self._asked("its symbols", dict, self._client.exchange_info)
        self._budget.learn_limit(said.get("rateLimits"))
        try:
            return {str(listed["symbol"]): str(listed["status"]) for listed in said["symbols"]}
        except (KeyError, TypeError) as error:
            raise Unavailable(
                f"{self._url} lists no symbols with a status: {str(said)[:100]}"
            ) from error

    def klines(self, symbol: str, interval: str, from_ms: int) -> list[Any]:
        """Return up to 1,000 rows from an open time on, ascending; the last is usually unfinished.

        Raises:
            Unavailable, Incompatible: as `time_ms`.
        """
        return list(
            self._asked(
                f"klines of {symbol}",
                list,
                lambda: self._client.klines(
                    symbol, interval, startTime=from_ms, limit=ROWS_AT_MOST
                ),
            )
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.session.close()

    def _asked(self, what: str, kind: type, call: Callable[[], Any]) -> Any:
        self._budget.await_turn()
        try:
            said = call()
            self._budget.spent(said["limit_usage"])
        except (Error, requests.RequestException, KeyError, TypeError) as error:
            raise self._translated(error, what) from error
        if not isinstance(
            said["data"], kind
        ):  # a page of text with status 200 comes through as data
            raise Unavailable(f"{self._url}, asked for {what}, answers {str(said['data'])[:100]!r}")
        return said["data"]

    def _translated(self, error: Exception, what: str) -> Unavailable | Incompatible:
        doing = f"{self._url}, asked for {what}"
        if isinstance(error, ClientError):
            said = refusal(
                doing, error.status_code, error.header, f"{error.error_code} {error.error_message}"
            )
            if isinstance(said, Throttled):
                self._budget.stay_away(said.retry_after_s)
            return said
        if isinstance(error, ServerError):
            return Unavailable(f"{doing}, fails with HTTP {error.status_code}")
        return Unavailable(f"{doing}: {type(error).__name__}: {str(error)[:200]}")


def refusal(
    doing: str, status: int, headers: Mapping[str, str] | None, said: str
) -> Unavailable | Incompatible:
    """Return the error for an HTTP status of 400 to 499: how long to stay away, or that waiting will not help."""
    text = f"{doing}, refuses with HTTP {status}: {said[:200]}"
    if status in _RETRY_AFTER_S:
        seconds = _seconds(
            {name.lower(): value for name, value in (headers or {}).items()}.get("retry-after")
        )
        seconds = _RETRY_AFTER_S[status] if seconds is None else seconds
        return Throttled(f"{text}; staying away for {seconds:g} s", seconds)
    if status == 451:
        return Incompatible(
            f"{text}; it does not serve this location: set EXCHANGE_REST_URL and EXCHANGE_STREAM_URL to a host that"
            " does, such as https://data-api.binance.vision and wss://data-stream.binance.vision"
        )
    return Unavailable(text)


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


class StreamClient:
    """One connection to the exchange's streams. It never reconnects; when it is over, make another."""

    def __init__(
        self,
        url: str,
        heard: Callable[[str], None],
        broke: Callable[[Exception], None],
        quiet_s: float,
    ) -> None:
        """Connect. `heard` and `broke` are called on the connection's own thread and must not wait.

        Args:
            url: of the stream host, without a path.
            heard: takes each text.
            broke: takes what ended the connection, or what `heard` raised.
            quiet_s: without even a ping for so long, the connection ends.

        Raises:
            Unavailable: no connection; a Throttled says for how long.
            Incompatible: the exchange does not serve this location.
        """
        self._url = url
        self._ids = itertools.count(1)
        try:
            self._client = SpotWebsocketStreamClient(
                stream_url=url,
                on_message=lambda _, text: heard(text),
                on_error=lambda _, error: broke(error),
                timeout=quiet_s,
                logger=_silent,
            )
        except WebSocketBadStatusException as error:
            headers = error.resp_headers if isinstance(error.resp_headers, Mapping) else {}
            raise refusal(
                f"{url}, asked for a stream", int(error.status_code), headers, ""
            ) from error
        except (WebSocketException, OSError) as error:
            raise Unavailable(f"no stream from {url}: {type(error).__name__}: {error}") from error

    def subscribe(
        self, symbols: Sequence[str], interval: str, wait: Callable[[float], object]
    ) -> set[int]:
        """Ask for the klines of symbols, slowly enough for the exchange; return the ids it should acknowledge.

        Raises:
            Unavailable: the connection is over.
        """
        sent = set()
        for part in _parts(symbols):
            request_id = next(self._ids)
            try:
                self._client.subscribe(
                    [f"{symbol.lower()}@kline_{interval}" for symbol in part], id=request_id
                )
            except (WebSocketException, OSError) as error:
                raise Unavailable(f"{self._url} ended while subscribing: {error}") from error
            sent.add(request_id)
            wait(BETWEEN_MESSAGES_S)
        return sent

    @property
    def is_alive(self) -> bool:
        """Whether the connection's thread still reads."""
        return bool(self._client.socket_manager.is_alive())

    def stop(self) -> None:
        """End the connection; the connector's own `stop` would wait for ever for a peer that is silent."""
        self._client.socket_manager.ws.abort()
        self._client.socket_manager.join(_STOP_S)


def _parts(symbols: Sequence[str]) -> list[Sequence[str]]:
    return [
        symbols[at : at + STREAMS_A_MESSAGE] for at in range(0, len(symbols), STREAMS_A_MESSAGE)
    ]
