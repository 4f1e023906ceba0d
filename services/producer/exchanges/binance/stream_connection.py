"""Binance's kline streams over a WebSocket."""

import json
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final

from websocket import ABNF, WebSocket, WebSocketBadStatusException, WebSocketTimeoutException

from services.producer.exchanges.binance.bounded_socket import BoundedWebSocket
from services.producer.exchanges.binance.rest_client import to_refusal
from services.producer.exchanges.binance.schemas import decode_message
from services.producer.ports import OnError, OnEvent, SentMessage
from shared.core.errors import Unavailable

MAX_MESSAGE_BYTES: Final = 4_000  # longer ones lose the connection
MAX_SYMBOLS_OF_MESSAGE: Final = 100
# Binance ends a connection after more than 5 messages in a second. Pongs count, and cannot wait.
MAX_FRAMES: Final = 3
PACE_S: Final = 1.0
# Of a read or a write: the thread looks so often whether it was told to end. Silence has a limit of
# its own, which is not that of the socket.
SOCKET_TIMEOUT_S: Final = 2.0
HANDSHAKE_TIMEOUT_S: Final = 10.0


class BinanceStreamConnection:
    """One connection to Binance's streams; see `StreamConnection` in ports.py."""

    def __init__(self, url: str, interval: str, on_event: OnEvent, on_error: OnError) -> None:
        """Begin to connect; see `Exchange.open_stream`."""
        self._url, self._interval = url, interval
        self._on_event, self._on_error = on_event, on_error
        self._socket: WebSocket = BoundedWebSocket()
        self._request_ids = count(1)
        self._frames_s: deque[float] = deque(maxlen=MAX_FRAMES)
        self._is_closed = False
        self.is_open = False
        self._thread = threading.Thread(target=self._run, name="stream-reader", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the connection is being made or read."""
        return self._thread.is_alive()

    @property
    def may_send(self) -> bool:
        """Whether a message now keeps the pace that Binance allows, pongs included."""
        is_slow = len(self._frames_s) < MAX_FRAMES or time.monotonic() - self._frames_s[0] > PACE_S
        return self.is_open and is_slow

    def subscribe(self, symbols: Sequence[str]) -> SentMessage:
        """Ask for the klines of as many of the first symbols as fit into a message.

        Raises:
            Unavailable: the connection has ended.
        """
        return self._send("SUBSCRIBE", symbols)

    def unsubscribe(self, symbols: Sequence[str]) -> SentMessage:
        """Ask for no more klines of symbols; else as `subscribe`."""
        return self._send("UNSUBSCRIBE", symbols)

    def close(self) -> None:
        """End the connection: its thread wakes up, whatever it waits for."""
        self._is_closed = True
        self._socket.abort()

    def _send(self, method: str, symbols: Sequence[str]) -> SentMessage:
        request_id = next(self._request_ids)
        streams = [f"{each.lower()}@kline_{self._interval}" for each in symbols]
        sent, text = fit_message(method, streams, request_id)
        try:
            self._socket.send(text)
        except Exception as error:  # the library raises many kinds
            raise Unavailable(
                f"{self._url}: the connection ended while sending: {error}"
            ) from error
        self._frames_s.append(time.monotonic())
        return SentMessage(request_id, sent)

    def _run(self) -> None:
        try:
            self._socket.settimeout(HANDSHAKE_TIMEOUT_S)
            self._socket.connect(f"{self._url}/ws", redirect_limit=0)
            self._socket.settimeout(SOCKET_TIMEOUT_S)
            self.is_open = True
            while not self._is_closed:
                self._read()
        except Exception as error:  # whatever the exchange sends, only this connection ends
            if not self._is_closed:
                self._on_error(_to_app_error(self._url, error))
        finally:
            self.is_open = False
            self._socket.shutdown()

    def _read(self) -> None:
        """Read a message; return without one if none comes for a while."""
        try:
            opcode, frame = self._socket.recv_data_frame(control_frame=True)
        except WebSocketTimeoutException:
            return
        if opcode in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY):
            arrival_ms = time.time_ns() // 1_000_000
            self._on_event(decode_message(bytes(frame.data), self._interval, arrival_ms))
        elif opcode == ABNF.OPCODE_PING:
            self._frames_s.append(time.monotonic())  # the library has answered
        elif opcode == ABNF.OPCODE_CLOSE:
            raise Unavailable(f"{self._url}: the exchange closed the connection{_code(frame.data)}")


def fit_message(method: str, streams: Sequence[str], request_id: int) -> tuple[int, str]:
    """Return a message with as many of the first streams as one may have, and their number.

    >>> fit_message("SUBSCRIBE", ["btcusdt@kline_5m"], 7)
    (1, '{"method":"SUBSCRIBE","params":["btcusdt@kline_5m"],"id":7}')
    """
    room = MAX_MESSAGE_BYTES - len(_encode(method, [], request_id))
    fitting: list[str] = []
    for stream in streams[:MAX_SYMBOLS_OF_MESSAGE]:
        room -= len(_encode_text(stream).encode()) + 1
        if room < 0:
            break
        fitting.append(stream)
    return len(fitting), _encode(method, fitting, request_id)


def _encode(method: str, streams: Sequence[str], request_id: int) -> str:
    return _encode_text({"method": method, "params": streams, "id": request_id})


def _encode_text(value: object) -> str:
    # Symbols may be of any script: as they are, they take half the bytes.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _code(data: bytes) -> str:
    """Return code and reason of a CLOSE frame, as a part of a sentence."""
    if len(data) < 2:
        return ""
    return f": {int.from_bytes(data[:2])} {data[2:].decode(errors='replace')[:100]!r}"


def _to_app_error(url: str, error: Exception) -> Unavailable:
    if isinstance(error, Unavailable):
        return error
    if isinstance(error, WebSocketBadStatusException):
        headers = error.resp_headers if isinstance(error.resp_headers, Mapping) else {}
        return to_refusal(f"{url}: request for a stream", int(error.status_code), headers, "")
    text = str(error)[:200]
    return Unavailable(f"{url}: the connection ended: {type(error).__name__}: {text}")
