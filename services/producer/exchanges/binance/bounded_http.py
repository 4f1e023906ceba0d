"""HTTP requests with a deadline and a largest size for the whole response.

The time-outs of requests and urllib3 hold for one read: a response that comes byte by byte never
ends. Here every read of a socket gets the time that is left:

1. `fetch` notes when the response must be complete.
2. Connecting goes through the host's addresses with what is left; a TLS handshake gets the rest.
3. Before each read, of the status line, headers or body, the socket's time-out is set to the rest.
4. The body is read in parts, decompressed, up to the largest size.
"""

import http.client
import io
import logging
import socket
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from shared.adapters.retry import call_with_deadline
from shared.core.errors import Unavailable

CONNECT_S: Final = 5.0  # for one of the host's addresses: the next may be alive
PART_BYTES: Final = 65_536

# It would log a traceback for a header that it cannot read.
logging.getLogger("urllib3.connectionpool").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The seconds until a response must be complete, and the largest body in bytes."""

    deadline_s: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The status of an HTTP response, its headers (names in any case), its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class BoundedSession(requests.Session):
    """A session for `fetch`. It follows no redirect: the address is a setting."""

    def __init__(self) -> None:
        """Prepare the session; it connects with its first request."""
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _DeadlineAdapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: requests would read the whole body before it follows a redirect."""


def fetch(
    session: BoundedSession, url: str, params: Mapping[str, Any], bounds: Bounds
) -> HttpResponse:
    """Send a GET request and return its response of any status.

    Raises:
        Unavailable: there is no response, or none within the bounds.
    """
    token = _ends_s.set(time.monotonic() + bounds.deadline_s)
    try:
        with session.get(url, params=params, timeout=bounds.deadline_s, stream=True) as response:
            body = _read_body(response, bounds.max_bytes)
            return HttpResponse(response.status_code, response.headers, body)
    # Of requests, and what it lets through of urllib3, http.client and the decoding of headers.
    except (requests.RequestException, HTTPError, http.client.HTTPException, OSError) as error:
        if time.monotonic() >= _ends_s.get():
            message = f"{url}: the response was not complete within {bounds.deadline_s:g} s"
            raise Unavailable(message) from error
        raise Unavailable(f"{url}: {type(error).__name__}: {str(error)[:200]}") from error
    except (ValueError, AttributeError) as error:
        raise Unavailable(f"{url}: the response has unreadable headers: {error!r:.200}") from error
    finally:
        _ends_s.reset(token)


_ends_s: Final = ContextVar("_ends_s", default=inf)  # of the response that this thread waits for


def _remaining_s() -> float:
    remaining_s = _ends_s.get() - time.monotonic()
    if remaining_s <= 0:
        raise TimeoutError("the deadline has passed")
    return remaining_s


def _read_body(response: requests.Response, max_bytes: int) -> bytes:
    body = bytearray()
    for part in response.iter_content(PART_BYTES):
        body += part
        _remaining_s()
        if len(body) > max_bytes:
            raise OSError(f"the body is larger than {max_bytes} bytes")
    return bytes(body)


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket; waits no longer than the deadline allows."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._raw = sock, sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_remaining_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_DeadlineReader(sock))


class _DeadlineConnection(HTTPConnection):
    response_class = _DeadlineResponse

    def _new_conn(self) -> socket.socket:
        return _connect(self.host, self.port)


class _SecureDeadlineConnection(HTTPSConnection):
    response_class = _DeadlineResponse

    def _new_conn(self) -> socket.socket:
        return _connect(self.host, self.port)


class _DeadlineAdapter(HTTPAdapter):
    """Connects within the deadline, to a proxy as well."""

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> ConnectionPool:
        pool = super().get_connection_with_tls_context(*args, **options)
        if isinstance(pool, HTTPSConnectionPool):
            pool.ConnectionCls = _SecureDeadlineConnection
        elif isinstance(pool, HTTPConnectionPool):
            pool.ConnectionCls = _DeadlineConnection
        return pool


def _connect(host: str, port: int) -> socket.socket:
    """Return a socket that is connected to the first of the host's addresses that responds."""
    failure: OSError = OSError(f"{host} has no address")
    for address in _resolve(host, port):
        try:
            sock = socket.create_connection(address, min(CONNECT_S, _remaining_s()))
        except OSError as error:
            failure = error
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(_remaining_s())  # for the TLS handshake
        return sock
    raise failure


def _resolve(host: str, port: int) -> list[tuple[str, int]]:
    """Return the host's addresses; a name server that does not respond is left behind."""
    addresses: list[tuple[str, int]] = []

    def look_up() -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses.extend((str(address[0]), port) for *_, address in found)

    call_with_deadline(look_up, _remaining_s())
    return addresses
