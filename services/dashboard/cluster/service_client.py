"""Ask services for their pages over HTTP, at every address that a name has."""

import socket
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from shared.core.errors import BadInput, Unavailable

CONNECT_S: Final = 2.0
ANSWER_S: Final = 4.0  # for all of an answer
_BLOCK: Final = 64 * 1024


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
    ips = {family: [] for family in (socket.AF_INET, socket.AF_INET6)}
    for family, *_, place in found:
        ips.setdefault(family, []).append(str(place[0]))
    # A server that has both listens on both; one of the two is asked.
    chosen = ips[socket.AF_INET] or ips[socket.AF_INET6]
    return [ServiceAddress(url, ip) for ip in sorted(set(chosen))]


def fetch(
    address: ServiceAddress,
    path: str,
    max_bytes: int,
    clock: Callable[[], float] = time.monotonic,
) -> ServiceAnswer:
    """Return a page of a service.

    Args:
        address: where to ask.
        path: the page.
        max_bytes: the largest body.
        clock: in seconds.

    Raises:
        Unavailable: nothing answers in time.
        BadInput: the answer is too large.
    """
    until_s = clock() + ANSWER_S
    connection = _connect(address)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = b""
        while block := response.read1(_BLOCK):
            body += block
            if len(body) > max_bytes:
                raise BadInput("bad_size", f"{path} has more than {max_bytes} bytes")
            if clock() > until_s:
                raise TimeoutError(f"not complete after {ANSWER_S:g} s")
    except (OSError, HTTPException) as error:
        text = str(error) or type(error).__name__
        raise Unavailable(f"{address.shown} does not answer ({text})") from error
    finally:
        connection.close()
    return ServiceAnswer(response.status, body)


def _connect(address: ServiceAddress) -> HTTPConnection:
    parts = urlsplit(address.url)
    if parts.scheme == "https":
        # Its certificate names the host, so the name is connected to.
        return HTTPSConnection(parts.hostname or "", _port(parts), timeout=CONNECT_S)
    return HTTPConnection(address.ip, _port(parts), timeout=CONNECT_S)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)
