"""A TCP server on loopback that misbehaves below HTTP: a test says what each connection gets."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Serve = Callable[[socket.socket, threading.Event], None]
"""(connection, set when the test ends): sends what it wants, then returns; it is closed then."""


@contextmanager
def raw_server(serve: Serve) -> Iterator[int]:
    """Serve connections, each on its own thread, and yield the port."""
    stop = threading.Event()

    def serve_one(connection: socket.socket) -> None:
        with connection:
            try:
                serve(connection, stop)
            except OSError:
                return  # the client has had enough

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)


def trickle(data: bytes, pause_s: float) -> Serve:
    """Return what sends bytes one by one, the last one again and again."""

    def serve(connection: socket.socket, stop: threading.Event) -> None:
        for at in range(1_000_000):
            connection.sendall(data[at : at + 1] or data[-1:])
            if stop.wait(pause_s):
                return

    return serve


def send(data: bytes) -> Serve:
    """Return what reads a request, then sends bytes."""

    def serve(connection: socket.socket, stop: threading.Event) -> None:
        connection.recv(65_536)
        connection.sendall(data)

    return serve


def send_for_ever(head: bytes, part: bytes) -> Serve:
    """Return what reads a request, then sends a head and a part again and again."""

    def serve(connection: socket.socket, stop: threading.Event) -> None:
        connection.recv(65_536)
        connection.sendall(head)
        while not stop.is_set():
            connection.sendall(part)

    return serve
