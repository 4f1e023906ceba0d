"""Find out in a moment whether anything listens where Kafka should be.

Kafka's client tries for ever: it cannot tell a broker that restarts from one that was never there.
"""

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from shared.adapters.kafka.connection import KafkaConnection
from shared.core.errors import BadSetting, Unavailable

DEFAULT_PORT: Final = 9092
CONNECT_S: Final = 3.0


def check_reachable(kafka: KafkaConnection, timeout_s: float = CONNECT_S) -> None:
    """Check that one of Kafka's addresses takes a connection.

    Args:
        kafka: how Kafka is reached.
        timeout_s: for each address.

    Raises:
        BadSetting: an address is none.
        Unavailable: none takes a connection; the message names the reason.
    """
    error: OSError | None = None
    for host, port in list(parse_addresses(kafka.bootstrap)):
        try:
            with closing(socket.create_connection((host, port), timeout_s)):
                return
        except OSError as failure:
            error = failure
    raise Unavailable(f"nothing listens at Kafka's address {kafka} ({error})") from error


def parse_addresses(bootstrap: str) -> Iterator[tuple[str, int]]:
    """Yield (host, port) of each address.

    >>> list(parse_addresses("kafka, [::1]:9093"))
    [('kafka', 9092), ('::1', 9093)]

    Raises:
        BadSetting: one is no host:port.
    """
    for address in bootstrap.split(","):
        text = address.strip().rpartition("://")[2]
        host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
        name = (host if colon else text).removeprefix("[").removesuffix("]")
        if not _may_be_host(name) or (colon and not (port.isdecimal() and 0 < int(port) < 65536)):
            raise BadSetting(
                f"KAFKA_BOOTSTRAP_SERVERS has {address!r}; give host:port, comma-separated, such as"
                f" 127.0.0.1:{DEFAULT_PORT}"
            )
        yield name, int(port) if colon else DEFAULT_PORT


def _may_be_host(name: str) -> bool:
    """Say whether a name can be looked up at all: control characters, for one, cannot."""
    try:
        return name.isprintable() and bool(name.encode("idna"))
    except UnicodeError:
        return False
