"""Certificates of an authority, as the TLS of Python's own library takes them."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.adapters.certificates import Authority, KeyPair
from shared.core.errors import BadInput

NOW = datetime.now(UTC) - timedelta(minutes=1)
LATER = NOW + timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("authority", NOW, LATER)


def connect(server: KeyPair, ca: bytes, host: str, folder: Path) -> None:
    """Let a client that trusts an authority greet a server over TLS."""
    (folder / "server.pem").write_bytes(server.key + server.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = threading.Thread(target=greet, args=(context, theirs))
        thread.start()
        try:
            client = ssl.create_default_context(cadata=ca.decode())
            with client.wrap_socket(ours, server_hostname=host) as wrapped:
                assert wrapped.recv(5) == b"hello"
        finally:
            ours.close()
            thread.join()


def greet(context: ssl.SSLContext, theirs: socket.socket) -> None:
    try:
        with context.wrap_socket(theirs, server_side=True) as wrapped:
            wrapped.sendall(b"hello")
    except (ssl.SSLError, OSError):
        return  # the client says why


@pytest.mark.parametrize("host", ["kafka", "127.0.0.1"])
def test_a_client_that_trusts_the_authority_takes_a_server_by_each_of_its_hosts(
    authority: Authority, host: str, tmp_path: Path
) -> None:
    server = authority.issue("kafka", ["kafka", "127.0.0.1"], NOW, LATER)

    connect(server, authority.key_pair.certificate, host, tmp_path)


def test_a_server_with_another_name_is_refused(authority: Authority, tmp_path: Path) -> None:
    server = authority.issue("kafka", ["kafka"], NOW, LATER)

    with pytest.raises(ssl.SSLCertVerificationError, match="redis"):
        connect(server, authority.key_pair.certificate, "redis", tmp_path)


def test_a_server_of_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create("authority", NOW, LATER)
    server = other.issue("kafka", ["kafka"], NOW, LATER)

    with pytest.raises(ssl.SSLCertVerificationError):
        connect(server, authority.key_pair.certificate, "kafka", tmp_path)


def test_a_certificate_that_is_over_is_refused(authority: Authority, tmp_path: Path) -> None:
    server = authority.issue("kafka", ["kafka"], NOW - timedelta(days=2), NOW)

    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        connect(server, authority.key_pair.certificate, "kafka", tmp_path)


@pytest.mark.parametrize("part", ["certificate", "key"])
def test_a_damaged_authority_is_refused(authority: Authority, part: str) -> None:
    pair = authority.key_pair
    damaged = {"certificate": pair.certificate, "key": pair.key, part: b"nothing"}

    with pytest.raises(BadInput, match="authority is unreadable"):
        Authority(KeyPair(**damaged))


def test_a_key_is_in_no_text(authority: Authority) -> None:
    assert "PRIVATE" not in repr(authority.key_pair)
