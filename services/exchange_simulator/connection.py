"""One client of the streams: its subscriptions, its send queue, its faults."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Final

from aiohttp import WSMsgType, web

from services.exchange_simulator.limits import MessageRateLimiter

MAX_STREAMS: Final = 1024
MAX_MESSAGE_BYTES: Final = 64 * 1024  # 1024 stream names fit
MAX_QUEUED: Final = 20_000  # messages; a client that lags further is aborted
PING_INTERVAL_S: Final = 20.0
PONG_TIMEOUT_S: Final = 60.0
METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS")


class InvalidMessage(Exception):
    """Raised when a client's message is invalid; carries Binance's code."""

    def __init__(self, code: int, message: str, request_id: object = None) -> None:
        """Store the code and the request's id with the message."""
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class ClientConnection:
    """A client's subscriptions, and a send queue of its own so that no client delays another."""

    def __init__(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        streams: list[str],
        *,
        combined: bool,
    ) -> None:
        """Store an open socket and the request that opened it."""
        self._request = request
        self._socket = socket
        self._combined = combined
        self._send_queue: asyncio.Queue[str] = asyncio.Queue(MAX_QUEUED)
        self._rate = MessageRateLimiter()
        self._last_pong_s = time.monotonic()
        self._streams = dict.fromkeys(streams)  # an ordered set

    def is_subscribed(self, stream: str) -> bool:
        """Return whether the client is subscribed to a stream."""
        return stream in self._streams

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams subscribed to, in order of subscription."""
        return tuple(self._streams)

    def push(self, stream: str, payload: str) -> None:
        """Queue a stream's payload in the form of this client's endpoint."""
        self._enqueue(self._frame(stream, payload))

    def abort(self) -> None:
        """Drop the TCP connection without a CLOSE frame, as a lost network does."""
        if isinstance(self._request.transport, asyncio.Transport):
            self._request.transport.abort()

    async def send_and_close(self, stream: str, payload: str) -> None:
        """Send a last payload and a CLOSE frame."""
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
            if not self._rate.accept(time.monotonic()):
                await self._socket.close(code=1008, message=b"Too many requests")
            elif message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self._last_pong_s = time.monotonic()
            elif message.type is WSMsgType.TEXT:
                self._enqueue(json.dumps(self._respond(message.data)))

    async def _write(self) -> None:
        while True:
            await self._socket.send_str(await self._send_queue.get())

    async def _ping(self) -> None:
        # A client whose network is gone sends no pong; nothing else would end its connection.
        while time.monotonic() - self._last_pong_s < PONG_TIMEOUT_S:
            await asyncio.sleep(PING_INTERVAL_S)
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

    def _respond(self, text: str) -> Mapping[str, object]:
        try:
            method, params, request_id = parse_message(text)
            return {"result": self._execute(method, params, request_id), "id": request_id}
        except InvalidMessage as error:
            response = {"code": error.code, "msg": str(error)}
            return response if error.request_id is None else response | {"id": error.request_id}

    def _execute(self, method: str, params: list[str], request_id: object) -> list[str] | None:
        if method == "LIST_SUBSCRIPTIONS":
            return list(self._streams)
        if method == "UNSUBSCRIBE":
            for stream in params:
                self._streams.pop(stream, None)
            return None
        if len(self._streams.keys() | set(params)) > MAX_STREAMS:
            raise InvalidMessage(
                2,
                f"Invalid request: too many streams, at most {MAX_STREAMS} per connection",
                request_id,
            )
        self._streams.update(dict.fromkeys(params))
        return None


def parse_message(text: str) -> tuple[str, list[str], object]:
    """Parse a client's message into method, stream names and id.

    >>> parse_message('{"method": "SUBSCRIBE", "params": ["btcusdt@kline_5m"], "id": 7}')
    ('SUBSCRIBE', ['btcusdt@kline_5m'], 7)

    Raises:
        InvalidMessage: with the code and message that Binance sends.
    """
    message, request_id = _decode_object(text)
    if "method" not in message:
        raise InvalidMessage(2, "Invalid request: missing field `method`", request_id)
    method, params = str(message["method"]), message.get("params")
    if method not in METHODS:
        raise InvalidMessage(
            2,
            f"Invalid request: unknown variant {method}, expected one of {', '.join(METHODS)}",
            request_id,
        )
    if method == "LIST_SUBSCRIPTIONS":
        return method, [], request_id
    if (
        not isinstance(params, list)
        or not params
        or not all(isinstance(name, str) for name in params)
    ):
        raise InvalidMessage(
            2, "Invalid request: params must be a list of stream names", request_id
        )
    return method, params, request_id


def _decode_object(text: str) -> tuple[dict[str, object], object]:
    try:
        message = json.loads(text)
    except ValueError:
        raise InvalidMessage(3, "Invalid JSON: expected value at line 1 column 1") from None
    if not isinstance(message, dict):
        raise InvalidMessage(2, "Invalid request: expected an object")
    request_id = message.get("id")
    if not _is_id(request_id):
        raise InvalidMessage(
            2,
            "Invalid request: request ID must be an integer, a string of at most 36 characters"
            " or null",
        )
    return message, request_id


def _is_id(value: object) -> bool:
    if isinstance(value, bool):  # an int to Python, but not in JSON
        return False
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or (isinstance(value, str) and len(value) <= 36)
