"""The server by itself: nothing listens where it looks for Kafka."""

import asyncio
from collections.abc import Iterator

import pytest

from services.dashboard.__main__ import build_server
from services.dashboard.settings import DashboardSettings
from services.dashboard.web.routes import PAGES
from shared.adapters.prometheus import Telemetry
from shared.core.errors import BadSetting
from tests.services.dashboard.web.running_page import RunningPage, a_running_page, next_event
from tests.support.waiting import eventually

NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="module")
def page() -> Iterator[RunningPage]:
    with a_running_page(KAFKA_BOOTSTRAP_SERVERS=NOWHERE) as page:
        yield page


@pytest.mark.parametrize("path", [path.replace("{symbol}", "BTCUSDT") for path in PAGES])
def test_every_page_is_the_same_file_with_a_nonce_of_its_own(page: RunningPage, path: str) -> None:
    first, second = page.get(path), page.get(path)

    nonces = [
        answer.headers["Content-Security-Policy"].partition("'nonce-")[2].partition("'")[0]
        for answer in (first, second)
    ]
    assert first.status == 200
    assert first.headers["Content-Type"] == "text/html; charset=utf-8"
    assert first.headers["Cache-Control"] == "no-store"
    assert len(set(nonces)) == 2
    assert nonces[0].encode() in first.body
    assert b"{{" not in first.body


@pytest.mark.parametrize(
    "path", ["/none", "/assets/none.js", "/api/none", "/assets/%00.js", "/symbols/a/b"]
)
def test_what_is_not_there_is_404_in_words(page: RunningPage, path: str) -> None:
    answer = page.get(path)

    assert answer.status == 404
    assert answer.json()["error"]
    assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(page: RunningPage, method: str) -> None:
    answer = page.request(method, "/api/overview")

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET,HEAD"


def test_a_foreign_name_is_refused(page: RunningPage) -> None:
    answer = page.get("/api/overview", Host="evil.example")

    assert answer.status == 421
    assert "DASHBOARD_ALLOWED_HOSTS" in answer.json()["error"]
    assert page.get("/", Host=f"localhost:{page.port}").status == 200


def test_a_file_that_the_browser_has_is_not_sent_again(page: RunningPage) -> None:
    first = page.get("/assets/scripts/main.js")
    again = page.get("/assets/scripts/main.js", **{"If-None-Match": first.headers["ETag"]})

    assert first.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status, again.body) == (304, b"")


def test_head_answers_without_a_body(page: RunningPage) -> None:
    whole, head = page.get("/assets/icon.svg"), page.request("HEAD", "/assets/icon.svg")

    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.body))
    assert whole.headers["Content-Type"].startswith("image/svg+xml")


def test_a_kafka_that_does_not_answer_is_named(page: RunningPage) -> None:
    eventually(lambda: page.summary()["state"] == "kafka_down")

    assert NOWHERE in page.summary()["state_reason"]
    assert page.telemetry.answer("/health/ready")[0] == 503


def test_a_browser_hears_of_us_without_kafka_too(page: RunningPage) -> None:
    with page.events() as stream:
        assert stream.getheader("Content-Type") == "text/event-stream; charset=utf-8"
        assert stream.readline() == b"retry: 1000\n"
        assert next_event(stream, "overview")["rows"] == []
        assert next_event(stream, "overview")["summary"]["state"] == "kafka_down"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/symbols/btc%2Fusdt", 404),
        ("/api/symbols/BTCUSDT?candles=0", 400),
        ("/api/symbols/BTCUSDT?candles=20001", 400),
        ("/api/symbols/BTCUSDT?candles=%D9%A3", 400),
        ("/api/symbols/BTCUSDT?before_ms=x", 400),
        ("/api/events?symbol=a%20b", 404),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    page: RunningPage, path: str, status: int
) -> None:
    answer = page.get(path)

    assert answer.status == status
    assert answer.json()["error"]


def test_a_port_that_is_taken_is_named(page: RunningPage) -> None:
    environ = {"KAFKA_BOOTSTRAP_SERVERS": NOWHERE, "DASHBOARD_PORT": str(page.port)}
    with pytest.raises(BadSetting, match=rf"DASHBOARD_PORT.*{page.port}"):
        asyncio.run(
            build_server(DashboardSettings.from_env(environ), Telemetry("dashboard")).run(
                asyncio.Event()
            )
        )


def test_an_address_of_metrics_must_be_one() -> None:
    with pytest.raises(BadSetting, match=r"METRICS_URLS.*producer:9100"):
        DashboardSettings.from_env({"METRICS_URLS": "producer:9100"})
