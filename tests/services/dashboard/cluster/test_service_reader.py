"""What services tell over HTTP, and servers that tell something else."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.dashboard.cluster.facts import ServiceFacts
from services.dashboard.cluster.service_client import ServiceAddress, fetch, resolve
from services.dashboard.cluster.service_reader import ServiceReader
from shared.adapters.prometheus import Telemetry
from shared.core.errors import BadInput, Unavailable
from shared.local_servers.programs import free_port
from tests.support.raw_server import Serve, raw_server, send, send_for_ever, trickle

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@contextmanager
def serving(telemetry: Telemetry) -> Iterator[str]:
    port = free_port()
    stop = telemetry.serve("127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop()


def read_one(url: str) -> ServiceFacts:
    (service,) = ServiceReader([url]).read(5)
    return service


def test_a_service_tells_its_name_its_health_and_its_metrics() -> None:
    telemetry = Telemetry("predictor")
    aborts = telemetry.counter("aborts_total", "Aborts.", "reason")
    aborts.labels("refused").inc(3)
    aborts.labels("aborted").inc()
    telemetry.not_ready = "restoring symbol groups [1]"

    with serving(telemetry) as url:
        service = read_one(url)

    assert (service.name, service.is_live, service.is_ready) == ("predictor", True, False)
    assert service.reason == "restoring symbol groups [1]"
    assert service.value("aborts_total") == 4
    assert service.by_label("aborts_total") == {"refused": 3, "aborted": 1}
    assert service.value("no_such_metric") is None


def test_a_producer_tells_which_symbols_lack_candles() -> None:
    telemetry = Telemetry("producer")
    telemetry.not_ready = None
    telemetry.gauge("symbols", "Symbols.")
    rows = [
        {"symbol": name, "standing": standing, "since_ms": 5, "next_open_time_ms": 9, "reason": "r"}
        for name, standing in (("AUSDT", "late"), ("BUSDT", "following"))
    ]
    telemetry.add_page("/symbols", lambda: {"counts": {}, "symbols": rows})

    with serving(telemetry) as url:
        service = read_one(url)

    assert service.is_ready
    assert service.symbols is not None
    assert [(one.symbol, one.standing, one.since_ms) for one in service.symbols] == [
        ("AUSDT", "late", 5)
    ]


def test_a_producer_whose_standings_are_no_page_is_read_without_them() -> None:
    telemetry = Telemetry("producer")
    telemetry.gauge("symbols", "Symbols.")
    telemetry.add_page("/symbols", lambda: {"counts": "many"})

    with serving(telemetry) as url:
        service = read_one(url)

    assert service.is_live
    assert service.symbols is None


def test_nobody_at_an_address_is_not_live() -> None:
    service = read_one(f"http://localhost:{free_port()}")

    assert (service.name, service.is_live) == ("localhost", False)
    assert "does not answer" in service.reason


def test_a_name_that_was_never_known_is_of_no_service() -> None:
    assert ServiceReader(["http://no-such-host.invalid:9100"]).read(5) == []


def test_a_name_that_is_not_known_any_more_is_of_a_service_that_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forget(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    reader = ServiceReader([f"http://localhost:{free_port()}"])
    reader.read(5)
    monkeypatch.setattr(socket, "getaddrinfo", forget)

    (service,) = reader.read(6)

    assert not service.is_live
    assert "localhost is no known name" in service.reason


def test_a_service_that_has_ended_is_named_as_it_named_itself() -> None:
    telemetry = Telemetry("trainer")
    telemetry.gauge("epoch", "Epoch.").set(3)
    with serving(telemetry) as url:
        reader = ServiceReader([url])
        reader.read(5)

    silent = [reader.read(now_ms)[0] for now_ms in (6, 7)]

    assert [(one.name, one.is_live, one.value("epoch")) for one in silent] == [
        ("trainer", False, 3.0)
    ] * 2
    assert [one.silent_since_ms for one in silent] == [6, 6]


@pytest.mark.parametrize(
    "serve",
    [
        send(b""),
        send(b"nonsense\r\n\r\n"),
        send(HEAD + b"<html>"),
        send(HEAD + b"\xff\xfe"),
        send_for_ever(HEAD, b"#" * 65_536),
        send_for_ever(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
    ],
)
def test_a_server_that_answers_anything_else_is_not_live(serve: Serve) -> None:
    with raw_server(serve) as port:
        service = read_one(f"http://127.0.0.1:{port}")

    assert not service.is_live
    assert service.reason
    assert service.silent_since_ms == 5


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\nx: ", HEAD, HEAD + b"#"])
def test_an_answer_that_trickles_in_is_given_up(data: bytes) -> None:
    with raw_server(trickle(data, 0.01)) as port:
        address = ServiceAddress(f"http://127.0.0.1:{port}", "127.0.0.1")
        with pytest.raises(Unavailable, match="not complete"):
            fetch(address, "/metrics", 10_000, limit_s=0.3)


def test_an_answer_that_is_too_large_is_refused() -> None:
    with raw_server(send_for_ever(HEAD, b"#" * 100)) as port:
        address = ServiceAddress(f"http://127.0.0.1:{port}", "127.0.0.1")
        with pytest.raises(BadInput, match="1000 bytes"):
            fetch(address, "/metrics", 1_000)


def test_a_name_is_asked_at_one_family_of_its_addresses() -> None:
    addresses = resolve("http://localhost:9100")

    assert [one.shown for one in addresses] == ["127.0.0.1:9100"]
