"""One client of the streams: its subscriptions, its send queue, its faults."""

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from aiohttp import WSMsgType, web

from services.exchange_simulator.limits import MessageRateLimiter, RequestRefused
from shared.core.bounded_json import decode_json
from shared.core.errors import BadInput

MAX_STREAMS: Final = 1024
MAX_MESSAGE_BYTES: Final = 8_000  # a longer one loses the connection
MAX_QUEUED: Final = 20_000  # messages; a client that lags further is aborted
PING_INTERVAL_S: Final = 20.0
PONG_TIMEOUT_S: Final = 60.0
METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS")


class SubscriptionPolicy(Protocol):
    """What decides on subscriptions before the connection does."""

    def on_subscribe(self, text: str, streams: Sequence[str]) -> float | None:
        """Return the seconds by which an acknowledgement is late; None: it is never sent.

        Raises:
            RequestRefused: the message is refused.
        """

    def on_subscribed(self) -> None:
        """Take note of a subscription that was accepted."""


class ClientConnection:
    """A client's subscriptions, and a send queue of its own so that no client delays another."""

    def __init__(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        streams: list[str],
        policy: SubscriptionPolicy,
        *,
        combined: bool,
    ) -> None:
        """Store an open socket and the request that opened it."""
        self._policy = policy
        self._request = request
        self._socket = socket
        self._combined = combined
        self._send_queue: asyncio.Queue[str] = asyncio.Queue(MAX_QUEUED)
        self._rate = MessageRateLimiter()
        self._last_pong_s = self._opened_s = time.monotonic()
        self.was_violated = False  # the client sent too much or too often
        self.is_silent = False  # sends nothing, as behind a network that has gone
        self.streams = dict.fromkeys(streams)  # a set in the order of subscription

    def push(self, stream: str, payload: str) -> None:
        """Queue a stream's payload in the form of this client's endpoint."""
        self.send_text(self._frame(stream, payload))

    def send_text(self, text: str) -> None:
        """Queue a frame as it is."""
        if not self.is_silent:
            self._enqueue(text)

    @property
    def age_s(self) -> float:
        """Seconds since the connection was opened."""
        return time.monotonic() - self._opened_s

    def abort(self) -> None:
        """Drop the TCP connection without a CLOSE frame, as a lost network does."""
        if isinstance(self._request.transport, asyncio.Transport):
            self._request.transport.abort()

    async def send_and_close(self, stream: str, payload: str) -> None:
        """Send a last payload and a CLOSE frame, unless the client has gone already."""
        with contextlib.suppress(ConnectionResetError):
            await self._socket.send_str(self._frame(stream, payload))
            await self._socket.close(code=1001, message=b"going away")

    async def serve(self) -> None:
        """Read, write and ping until either side ends the connection."""
        tasks = [asyncio.create_task(part) for part in (self._write(), self._ping())]
        try:
            await self._read()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self._socket:
            # Pings and pongs count too: the connector answers each ping with two frames.
            if message.type is WSMsgType.ERROR:  # too long, or no frame of this protocol
                self.was_violated = True
            elif not self._rate.accept(time.monotonic()):
                self.was_violated = True
                await self._socket.close(code=1008, message=b"Too many requests")
            elif message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self._last_pong_s = time.monotonic()
            elif message.type is WSMsgType.TEXT:
                self._respond(message.data)

    async def _write(self) -> None:
        while True:
            await self._socket.send_str(await self._send_queue.get())

    async def _ping(self) -> None:
        # A client whose network is gone sends no pong; nothing else would end its connection.
        while time.monotonic() - self._last_pong_s < PONG_TIMEOUT_S:
            await asyncio.sleep(PING_INTERVAL_S)
            if self.is_silent:
                continue
            await self._socket.ping(str(time.time_ns() // 1_000_000).encode())
        self.abort()

    def _frame(self, stream: str, payload: str) -> str:
        return f'{{"stream":{json.dumps(stream)},"data":{payload}}}' if self._combined else payload

    def _enqueue(self, text: str) -> None:
        # Waiting for a slow client would delay the candles of all others.
        try:
            self._send_queue.put_nowait(text)
        except asyncio.QueueFull:
            self.abort()

    def _respond(self, text: str) -> None:
        request_id, late_s, response = None, 0.0, dict[str, object]()
        try:
            message = decode_message(text)
            request_id = message.get("id")
            method, params = parse_method(message)
            if method == "SUBSCRIBE":
                decision = self._policy.on_subscribe(text, params)
                if decision is None:
                    return
                late_s = decision
            response = {"result": self._execute(method, params), "id": request_id}
        except RequestRefused as error:
            response = {"code": error.code, "msg": str(error)}
            response |= {} if request_id is None else {"id": request_id}
        asyncio.get_running_loop().call_later(late_s, self.send_text, json.dumps(response))

    def _execute(self, method: str, params: list[str]) -> list[str] | None:
        if method == "LIST_SUBSCRIPTIONS":
            return list(self.streams)
        if method == "UNSUBSCRIBE":
            for stream in params:
                self.streams.pop(stream, None)
            return None
        if len(self.streams.keys() | set(params)) > MAX_STREAMS:
            raise RequestRefused(
                2, f"Invalid request: too many streams, at most {MAX_STREAMS} per connection"
            )
        self.streams.update(dict.fromkeys(params))
        self._policy.on_subscribed()
        return None


def decode_message(text: str) -> dict[str, object]:
    """Decode a client's message, an object with an id that Binance accepts.

    Raises:
        RequestRefused: with the code and message that Binance sends.
    """
    try:
        message = decode_json(text, max_bytes=MAX_MESSAGE_BYTES)
    except BadInput:
        raise RequestRefused(3, "Invalid JSON: expected value at line 1 column 1") from None
    if not isinstance(message, dict):
        raise RequestRefused(2, "Invalid request: expected an object")
    if not _is_id(message.get("id")):
        raise RequestRefused(
            2,
            "Invalid request: request ID must be an integer, a string of at most 36 characters"
            " or null",
        )
    return message


def parse_method(message: Mapping[str, object]) -> tuple[str, list[str]]:
    """Return the method and the stream names of a client's message.

    >>> parse_method({"method": "SUBSCRIBE", "params": ["btcusdt@kline_5m"], "id": 7})
    ('SUBSCRIBE', ['btcusdt@kline_5m'])

    Raises:
        RequestRefused: with the code and message that Binance sends.
    """
    if "method" not in message:
        raise RequestRefused(2, "Invalid request: missing field `method`")
    method, params = str(message["method"]), message.get("params")
    if method not in METHODS:
        expected = ", ".join(METHODS)
        raise RequestRefused(
            2, f"Invalid request: unknown variant {method}, expected one of {expected}"
        )
    if method == "LIST_SUBSCRIPTIONS":
        return method, []
    if not (isinstance(params, list) and params and all(isinstance(each, str) for each in params)):
        raise RequestRefused(2, "Invalid request: params must be a list of stream names")
    return method, params


def _is_id(value: object) -> bool:
    if isinstance(value, int):
        # A bool is an int to Python, but not in JSON.
        return not isinstance(value, bool) and -(2**63) <= value < 2**63
    return value is None or (isinstance(value, str) and len(value) <= 36)
