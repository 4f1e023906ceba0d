"""Answers that never end, of every kind, from a real server."""

import gzip
import socket
import threading
from time import monotonic

import pytest

from services.producer.exchanges.binance.bounded_http import (
    BoundedSession,
    Bounds,
    HttpResponse,
    fetch,
)
from shared.core.errors import Unavailable
from tests.support.raw_server import Serve, raw_server, send, send_for_ever, trickle

BOUNDS = Bounds(deadline_s=0.5, max_bytes=100_000)
PAUSE_S = 0.05  # far below every time-out of a single read
HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\n{}"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def get(port: int, scheme: str = "http", host: str = "127.0.0.1") -> HttpResponse:
    with BoundedSession() as session:
        return fetch(session, f"{scheme}://{host}:{port}/api", {"limit": 1}, BOUNDS)


def say_nothing(connection: socket.socket, stop: threading.Event) -> None:
    stop.wait()


@pytest.mark.parametrize(
    "serve",
    [
        say_nothing,
        trickle(HEAD, PAUSE_S),
        trickle(HEAD + b"X-Padding: aaaa", PAUSE_S),
        trickle(HEAD + b"Content-Length: 9000\r\n\r\n[", PAUSE_S),
        trickle(CHUNKED + b"1\r\na\r\n", PAUSE_S),
        send_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        send_for_ever(HEAD, b""),
    ],
    ids=["silence", "status", "headers", "body", "chunks", "continue", "pause"],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_answer_that_is_not_complete_in_time_is_given_up(serve: Serve, scheme: str) -> None:
    with raw_server(serve) as port:
        began_s = monotonic()
        with pytest.raises(Unavailable, match=r"within 0\.5 s|SSLError|ConnectionError"):
            get(port, scheme)
        assert monotonic() - began_s < 1.5


def test_a_server_that_accepts_no_connection_is_given_up_in_time() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))

        began_s = monotonic()
        with pytest.raises(Unavailable):
            get(port)
        assert monotonic() - began_s < 1.5
        for each in waiting:
            each.close()


@pytest.mark.parametrize(
    "serve",
    [
        send_for_ever(HEAD + b"\r\n", b"a" * 65_536),
        send_for_ever(CHUNKED, b"10000\r\n" + b"a" * 65_536 + b"\r\n"),
        send_for_ever(HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(bytes(10_000_000))),
        send(HEAD + b"Content-Length: 200000\r\n\r\n" + b" " * 200_000),
        send_for_ever(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b"a" * 65_536),
    ],
    ids=["body", "chunks", "bomb", "announced", "redirect"],
)
def test_a_body_that_is_too_large_is_given_up(serve: Serve) -> None:
    with raw_server(serve) as port, pytest.raises(Unavailable, match="larger than 100000 bytes"):
        get(port)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 9 OK\r\n\r\n",
        b"HTTP/1.1 " + b"9" * 5000 + b" OK\r\n\r\n",
        HEAD + b"X: " + b"a" * 70_000 + b"\r\n\r\n{}",
        HEAD + b"X: a\r\n" * 200 + b"\r\n{}",
        HEAD + b"Content-Length: 5, 6\r\n\r\n{}",
        HEAD + b"Content-Length: 99\r\n\r\n{}",
        HEAD + b"Content-Encoding: gzip\r\n\r\nnot gzip",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}",
    ],
)
def test_what_is_no_answer_is_unavailable(answer: bytes) -> None:
    with raw_server(send(answer)) as port, pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        get(port)


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: many\r\n",
        b"Content-Length: " + b"9" * 5000 + b"\r\n",
        b"Content-Type: text/html; charset=\x00\r\n",
        b"Content-Type: text/html; charset=punycode\r\n",
        b"Set-Cookie: \xff=\xfe; expires=never\r\n",
        b"no colon\r\n",
        b": no name\r\n",
    ],
)
def test_odd_headers_do_no_harm(headers: bytes) -> None:
    with raw_server(send(HEAD + headers + b"\r\n{}")) as port:
        try:
            answer = get(port)
        except Unavailable:
            return
    assert (answer.status, answer.body[-2:]) == (200, b"{}")


def test_a_redirect_is_an_answer_like_any_other() -> None:
    location = b"Location: http://\xff\xfe/\r\n"
    with raw_server(send(b"HTTP/1.1 302 Found\r\n" + location + b"\r\n")) as port:
        assert get(port).status == 302


def test_the_next_answer_has_its_own_deadline() -> None:
    def serve(connection: socket.socket, stop: threading.Event) -> None:
        while connection.recv(65_536):
            stop.wait(0.3)
            connection.sendall(WHOLE)

    with raw_server(serve) as port, BoundedSession() as session:
        for _ in range(3):
            url = f"http://localhost:{port}/api"
            assert fetch(session, url, {}, BOUNDS).body == b"{}"


def test_a_host_without_an_address_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"nowhere\.invalid"):
        get(80, host="nowhere.invalid")
