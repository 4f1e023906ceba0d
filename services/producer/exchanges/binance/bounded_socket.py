"""A WebSocket with a largest message size, which can be ended at any stage."""

import socket
from contextlib import suppress
from typing import Final

from websocket import ABNF, WebSocket, WebSocketPayloadException, continuous_frame, frame_buffer

MAX_MESSAGE_BYTES: Final = 1 << 20  # Binance's are below 1 kB
CHUNK_BYTES: Final = 1 << 16


class BoundedWebSocket(WebSocket):
    """The library's WebSocket with limits; text is not decoded, its reader does that.

    It reads what has arrived at once: with a read for each part of a frame, the threads of several
    sockets would spend a close waiting for each other.
    """

    def __init__(self) -> None:
        """Start without a connection."""
        super().__init__(skip_utf8_validation=True)
        self.frame_buffer = _BoundedFrames(self._recv, skip_utf8_validation=True)
        self.cont_frame = _BoundedMessage(fire_cont_frame=False, skip_utf8_validation=True)
        self._chunk, self._taken = b"", 0

    def abort(self) -> None:
        """Wake up the thread that connects or reads: its connection is at an end."""
        connection = self.sock
        if connection is not None:
            with suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)

    def _recv(self, bufsize: int) -> bytes:
        if self._taken == len(self._chunk):
            self._chunk, self._taken = WebSocket._recv(self, CHUNK_BYTES), 0
        part = self._chunk[self._taken : self._taken + bufsize]
        self._taken += len(part)
        return part


class _BoundedFrames(frame_buffer):
    """Reads frames up to the largest size of a message."""

    def recv_length(self) -> None:
        super().recv_length()
        _check_size(self.length or 0)


class _BoundedMessage(continuous_frame):
    """Puts the parts of a message together, up to the largest size."""

    def add(self, frame: ABNF) -> None:
        super().add(frame)
        _check_size(len(self.cont_data[1]) if self.cont_data else 0)


def _check_size(length: int) -> None:
    if length > MAX_MESSAGE_BYTES:
        raise WebSocketPayloadException(
            f"a message of {length} bytes; at most {MAX_MESSAGE_BYTES} are read"
        )
