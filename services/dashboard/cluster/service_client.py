"""Ask services for their pages over HTTP, at every address that a name has."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from threading import Event, Timer
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from shared.core.errors import BadInput, Unavailable

CONNECT_S: Final = 2.0
ANSWER_S: Final = 4.0  # for all of an answer
_BLOCK: Final = 64 * 1024
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


class ServiceAddress(NamedTuple):
    """An address of a service: its URL as it was given, and where to connect to."""

    url: str
    ip: str

    @property
    def shown(self) -> str:
        """The address as people read it."""
        parts = urlsplit(self.url)
        ip = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{ip}:{_port(parts)}"


class ServiceAnswer(NamedTuple):
    """Status and body of an answer."""

    status: int
    body: bytes


def resolve(url: str) -> list[ServiceAddress]:
    """Return the addresses of a base URL; the replicas of a service share a name.

    Raises:
        Unavailable: the name is not known.
    """
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, _port(parts), type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(f"{parts.hostname} is no known name ({error.strerror})") from error
    # A machine may have an address of each family: of such only those of the older one are asked.
    by_family = {
        family: {str(row[4][0]) for row in found if row[0] == family} for family in _FAMILIES
    }
    ips = next((ips for ips in by_family.values() if ips), set())
    return [ServiceAddress(url, ip) for ip in sorted(ips)]


def fetch(
    address: ServiceAddress, path: str, max_bytes: int, limit_s: float = ANSWER_S
) -> ServiceAnswer:
    """Return a page of a service.

    Args:
        address: where to ask.
        path: the page.
        max_bytes: the largest body.
        limit_s: seconds for all of the answer.

    Raises:
        Unavailable: nothing answers in time.
        BadInput: the answer is too large.
    """
    try:
        with _connected(address, limit_s) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return ServiceAnswer(response.status, _read_body(response, path, max_bytes))
    except (OSError, HTTPException) as error:
        text = str(error) or type(error).__name__
        raise Unavailable(f"{address.shown} does not answer ({text})") from error


def _read_body(response: HTTPResponse, path: str, max_bytes: int) -> bytes:
    body = b""
    while block := response.read1(_BLOCK):
        body += block
        if len(body) > max_bytes:
            raise BadInput("bad_size", f"{path} has more than {max_bytes} bytes")
    return body


@contextmanager
def _connected(address: ServiceAddress, limit_s: float) -> Iterator[HTTPConnection]:
    """Connect; after so many seconds end the connection, whatever comes on it.

    A time-out of the socket begins anew with each byte, so it bounds no answer.

    Raises:
        TimeoutError: the connection was ended.
    """
    connection, has_ended = _open(address), Event()
    connection.connect()
    stream = connection.sock  # the connection lets go of it once the headers are there

    def end() -> None:
        has_ended.set()
        with suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)

    timer = Timer(limit_s, end)
    timer.start()
    try:
        yield connection
    finally:
        timer.cancel()
        stream.close()
        connection.close()
        if has_ended.is_set():
            raise TimeoutError(f"not complete after {limit_s:g} s")


def _open(address: ServiceAddress) -> HTTPConnection:
    parts = urlsplit(address.url)
    if parts.scheme == "https":
        # Its certificate names the host, so the name is connected to.
        return HTTPSConnection(parts.hostname or "", _port(parts), timeout=CONNECT_S)
    return HTTPConnection(address.ip, _port(parts), timeout=CONNECT_S)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)
