"""Binance's kline streams through binance-connector."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient
from websocket import WebSocketBadStatusException, WebSocketException

from services.producer.exchanges.binance.rest_client import to_refusal
from services.producer.exchanges.binance.schemas import decode_message
from services.producer.ports import OnError, OnEvent
from shared.core.errors import Incompatible, Unavailable

STREAMS_PER_MESSAGE: Final = 200  # longer messages lose the connection
MESSAGE_PAUSE_S: Final = 0.5  # Binance accepts 5 messages a second, pongs included
SILENCE_S: Final = 60.0  # Binance pings every 20 s
JOIN_TIMEOUT_S: Final = 5.0

# All that the connector logs it also raises or passes to a callback.
_silent_log = logging.getLogger(f"{__name__}.connector")
_silent_log.setLevel(logging.CRITICAL)


class BinanceStreamConnection:
    """One connection to Binance's streams; see `StreamConnection` in ports.py."""

    def __init__(self, url: str, interval: str, on_event: OnEvent, on_error: OnError) -> None:
        """Connect; see `Exchange.open_stream`."""
        self._url, self._interval = url, interval
        self._requests = 0

        def on_message(_: object, text: str) -> None:
            on_event(decode_message(text, interval, time.time_ns() // 1_000_000))

        try:
            self._client = SpotWebsocketStreamClient(
                stream_url=url,
                on_message=on_message,
                on_error=lambda _, error: on_error(error),
                timeout=SILENCE_S,
                logger=_silent_log,
            )
        except (WebSocketException, OSError) as error:
            raise _to_app_error(url, error) from error

    def subscribe(self, symbols: Sequence[str], wait: Callable[[float], object]) -> set[int]:
        """Subscribe to the klines of symbols, within Binance's limits of message size and rate.

        Raises:
            Unavailable: the connection has ended.
        """
        request_ids = set()
        for first in range(0, len(symbols), STREAMS_PER_MESSAGE):
            self._requests += 1
            request_id, part = self._requests, symbols[first : first + STREAMS_PER_MESSAGE]
            streams = [f"{symbol.lower()}@kline_{self._interval}" for symbol in part]
            try:
                self._client.subscribe(streams, id=request_id)
            except (WebSocketException, OSError) as error:
                message = f"{self._url}: the connection ended while subscribing: {error}"
                raise Unavailable(message) from error
            request_ids.add(request_id)
            wait(MESSAGE_PAUSE_S)
        return request_ids

    @property
    def is_alive(self) -> bool:
        """Whether the connection's thread is still reading."""
        return bool(self._client.socket_manager.is_alive())

    def close(self) -> None:
        """Close the connection."""
        # The connector's own `stop` waits without limit for a silent peer; `abort` does not.
        self._client.socket_manager.ws.abort()
        self._client.socket_manager.join(JOIN_TIMEOUT_S)


def _to_app_error(url: str, error: Exception) -> Unavailable | Incompatible:
    if isinstance(error, WebSocketBadStatusException):
        headers = error.resp_headers if isinstance(error.resp_headers, Mapping) else {}
        return to_refusal(f"{url}: request for a stream", int(error.status_code), headers, "")
    return Unavailable(f"{url}: connecting failed: {type(error).__name__}: {error}")
