"""Detect the security protocol of a broker's listener.

A client whose protocol is another one hears nothing, or a closed connection: it cannot tell why.
"""

import contextlib
import socket
import ssl
import struct
from contextlib import closing
from typing import Final

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reachability import parse_addresses
from shared.core.errors import BadSetting

PROBE_S: Final = 2.0
_MECHANISM: Final = b"PLAIN"  # any: the broker says whether it takes mechanisms at all
_SASL_HANDSHAKE: Final = struct.pack(">hhihh", 17, 1, 1, -1, len(_MECHANISM)) + _MECHANISM
_ANSWER: Final = struct.Struct(">iih")  # size, correlation id, error code
_ILLEGAL_SASL_STATE: Final = 34  # the listener has no SASL


def check_listener(kafka: KafkaConnection, timeout_s: float = PROBE_S) -> None:
    """Check that the first listener that answers speaks the protocol of the settings.

    Raises:
        BadSetting: it speaks another one; the message names both.
    """
    for host, port in parse_addresses(kafka.bootstrap):
        found = find_protocol(host, port, timeout_s)
        if found is None:
            continue
        if found != kafka.protocol:
            raise BadSetting(
                f"Kafka at {host}:{port} speaks {found}, but KAFKA_SECURITY_PROTOCOL is"
                f" {kafka.protocol}: set it to {found}, or give another listener's address"
            )
        return


def find_protocol(host: str, port: int, timeout_s: float = PROBE_S) -> str | None:
    """Return a listener's protocol as Kafka calls it; None if no Kafka answers."""
    # A listener with TLS answers what comes without it by an alert, or not at all.
    return _find_plain(host, port, timeout_s) or _find_tls(host, port, timeout_s)


def _find_plain(host: str, port: int, timeout_s: float) -> str | None:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout_s) as plain:
        if (error := _sasl_error(plain)) is not None:
            return "PLAINTEXT" if error == _ILLEGAL_SASL_STATE else "SASL_PLAINTEXT"
    return None


def _find_tls(host: str, port: int, timeout_s: float) -> str | None:
    try:
        secured = _connect_by_tls(host, port, timeout_s)
    except OSError:
        return None
    error = None
    # A listener that wants this side's certificate ends the connection before it answers.
    with closing(secured), contextlib.suppress(OSError):
        error = _sasl_error(secured)
    return "SSL" if error in {None, _ILLEGAL_SASL_STATE} else "SASL_SSL"


def _connect_by_tls(host: str, port: int, timeout_s: float) -> ssl.SSLSocket:
    # Whose certificate it is does not matter: nothing secret is sent.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.ExitStack() as undo:
        connection = socket.create_connection((host, port), timeout_s)
        undo.callback(connection.close)
        secured = context.wrap_socket(connection, server_hostname=host)
        undo.pop_all()
    return secured


def _sasl_error(connection: socket.socket) -> int | None:
    """Return the code that a SASL handshake is answered with; None if there is no such answer."""
    connection.sendall(struct.pack(">i", len(_SASL_HANDSHAKE)) + _SASL_HANDSHAKE)
    answer = b""
    while len(answer) < _ANSWER.size:
        block = connection.recv(_ANSWER.size - len(answer))
        if not block:
            return None
        answer += block
    _, correlation_id, error = _ANSWER.unpack(answer)
    return int(error) if correlation_id == 1 else None
