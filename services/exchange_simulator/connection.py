"""One client of the streams: what it asked for, what waits to be sent to it, how it may fail."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Final

from aiohttp import WSMsgType, web

from services.exchange_simulator.limits import MessageRate

MAX_STREAMS: Final = 1024
MAX_MESSAGE_BYTES: Final = 64 * 1024  # 1024 stream names fit
MAX_WAITING: Final = 20_000  # messages; a client that lags further is cut off
PING_EVERY_S: Final = 20.0
PONG_WITHIN_S: Final = 60.0
METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS")


class Invalid(Exception):
    """Raised when a client's message makes no sense; carries Binance's code."""

    def __init__(self, code: int, message: str, request_id: object = None) -> None:
        """Keep code and request id beside the message."""
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class Connection:
    """A client's subscriptions and a queue of what goes out to it, so that no client delays another."""

    def __init__(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        streams: list[str],
        *,
        combined: bool,
    ) -> None:
        """Take an open socket and the request it came from."""
        self._request = request
        self._socket = socket
        self._combined = combined
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self._rate = MessageRate()
        self._last_pong_s = time.monotonic()
        self._streams = dict.fromkeys(streams)  # a set that keeps its order

    def follows(self, stream: str) -> bool:
        """Return whether the client subscribed to a stream."""
        return stream in self._streams

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams subscribed to, in the order of their subscription."""
        return tuple(self._streams)

    def push(self, stream: str, payload: str) -> None:
        """Queue a stream's payload in the form this client asked for."""
        self._queue(self._framed(stream, payload))

    def cut(self) -> None:
        """Break the connection off without a word, as a lost network does."""
        if isinstance(self._request.transport, asyncio.Transport):
            self._request.transport.abort()

    async def close(self, stream: str, payload: str) -> None:
        """Send one last payload and a CLOSE frame."""
        await self._socket.send_str(self._framed(stream, payload))
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
            if not self._rate.allows(time.monotonic()):
                await self._socket.close(code=1008, message=b"Too many requests")
            elif message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self._last_pong_s = time.monotonic()
            elif message.type is WSMsgType.TEXT:
                self._queue(json.dumps(self._answer(message.data)))

    async def _write(self) -> None:
        while True:
            await self._socket.send_str(await self._waiting.get())

    async def _ping(self) -> None:
        while time.monotonic() - self._last_pong_s < PONG_WITHIN_S:
            await asyncio.sleep(PING_EVERY_S)
            await self._socket.ping(str(time.time_ns() // 1_000_000).encode())
        self.cut()

    def _framed(self, stream: str, payload: str) -> str:
        return f'{{"stream":{json.dumps(stream)},"data":{payload}}}' if self._combined else payload

    def _queue(self, text: str) -> None:
        try:
            self._waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.cut()

    def _answer(self, text: str) -> Mapping[str, object]:
        try:
            method, params, request_id = parsed(text)
            return {"result": self._do(method, params, request_id), "id": request_id}
        except Invalid as error:
            answer = {"code": error.code, "msg": str(error)}
            return answer if error.request_id is None else answer | {"id": error.request_id}

    def _do(self, method: str, params: list[str], request_id: object) -> list[str] | None:
        if method == "LIST_SUBSCRIPTIONS":
            return list(self._streams)
        if method == "UNSUBSCRIBE":
            for stream in params:
                self._streams.pop(stream, None)
            return None
        if len(self._streams.keys() | set(params)) > MAX_STREAMS:
            raise Invalid(
                2,
                f"Invalid request: too many streams, at most {MAX_STREAMS} per connection",
                request_id,
            )
        self._streams.update(dict.fromkeys(params))
        return None


def parsed(text: str) -> tuple[str, list[str], object]:
    """Return method, stream names and id of a client's message.

    >>> parsed('{"method": "SUBSCRIBE", "params": ["btcusdt@kline_5m"], "id": 7}')
    ('SUBSCRIBE', ['btcusdt@kline_5m'], 7)

    Raises:
        Invalid: it is no request; what Binance answers to it.
    """
    try:
        message = json.loads(text)
    except ValueError:
        raise Invalid(3, "Invalid JSON: expected value at line 1 column 1") from None
    if not isinstance(message, dict):
        raise Invalid(2, "Invalid request: expected an object")
    request_id = message.get("id")
    if not _is_id(request_id):
        raise Invalid(
            2,
            "Invalid request: request ID must be an integer, a string of at most 36 characters or null",
        )
    if "method" not in message:
        raise Invalid(2, "Invalid request: missing field `method`", request_id)
    method, params = message["method"], message.get("params")
    if method not in METHODS:
        raise Invalid(
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
        raise Invalid(2, "Invalid request: params must be a list of stream names", request_id)
    return method, params, request_id


def _is_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or (isinstance(value, str) and len(value) <= 36)
