"""A WebSocket server on loopback whose clients are served as the test says, however badly."""

import base64
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class WebSocketClient:
    """The server's end of a connection; nothing is sent that the test does not send."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._file = connection.makefile("rb")
        self.opcodes: list[int] = []  # of the frames received

    def read_request(self) -> dict[bytes, bytes]:
        """Read the request of the handshake; return its headers."""
        headers = {}
        while (line := self._file.readline().strip()) != b"":
            name, _, value = line.partition(b": ")
            headers[name.lower()] = value
        return headers

    def accept(self) -> None:
        """Complete the handshake."""
        key = self.read_request()[b"sec-websocket-key"]
        accepted = base64.b64encode(hashlib.sha1(key + ACCEPT_SUFFIX).digest())
        self.connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
        )

    def send(self, message: object) -> None:
        """Send text, or JSON."""
        text = message if isinstance(message, str) else json.dumps(message)
        self.send_frame(TEXT, text.encode())

    def send_frame(self, opcode: int, payload: bytes, *, is_last: bool = True) -> None:
        """Send one frame."""
        head = bytes([opcode | (128 if is_last else 0)])
        if len(payload) < 126:
            head += bytes([len(payload)])
        elif len(payload) < 65536:
            head += bytes([126]) + struct.pack("!H", len(payload))
        else:
            head += bytes([127]) + struct.pack("!Q", len(payload))
        self.connection.sendall(head + payload)

    def receive(self) -> dict[str, Any] | None:
        """Return the next message of JSON; None once the client has gone."""
        while (frame := self._read_frame()) is not None:
            opcode, payload = frame
            self.opcodes.append(opcode)
            if opcode == TEXT:
                message: dict[str, Any] = json.loads(payload)
                return message
            if opcode == CLOSE:
                return None
        return None

    def acknowledge(self) -> dict[str, Any] | None:
        """Receive a message and acknowledge it; None once the client has gone."""
        message = self.receive()
        if message is not None:
            self.send({"result": None, "id": message["id"]})
        return message

    def _read_frame(self) -> tuple[int, bytes] | None:
        with suppress(OSError):
            head = self._file.read(2)
            if len(head) == 2:
                length = head[1] & 127
                if length > 125:
                    size = 2 if length == 126 else 8
                    length = int.from_bytes(self._file.read(size))
                mask, payload = self._file.read(4), self._file.read(length)
                return head[0] & 15, bytes(b ^ mask[n % 4] for n, b in enumerate(payload))
        return None


Script = Callable[[WebSocketClient], None]


@contextmanager
def websocket_server(serve: Script) -> Iterator[str]:
    """Serve each client by a script on a thread of its own; yield the address.

    A connection is closed when its script returns.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def run(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(WebSocketClient(connection))

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=run, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for each in (listener, *connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
