"""The states that a viewer must be able to tell apart."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, expect

from shared.adapters.kafka.connection import KafkaConnection
from shared.local_servers.data_folder import Servers
from tests.support.deployment import Deployment
from tests.support.folded_market import FAMILIAR, FoldedMarket
from tests.support.live_page import BrowserPages, LivePage
from tests.support.page_parts import cell, expect_number, expect_state
from tests.support.servers import kafka_behind_links, reserve_port

SYMBOLS = FAMILIAR[:3]
FIRST = SYMBOLS[0]
CONNECTION = r"ERR_(CONNECTION|INCOMPLETE|EMPTY|NETWORK)|Failed to load resource|50[234]"

OpenPages = Callable[[LivePage], BrowserPages]


@pytest.fixture
def deployment(running_servers: Servers, tmp_path: Path) -> Iterator[Deployment]:
    kafka, redis = running_servers.kafka, running_servers.redis_url
    with Deployment(kafka, redis, f"states-{uuid4().hex[:12]}.", tmp_path) as deployment:
        yield deployment


@pytest.fixture
def market(deployment: Deployment) -> Iterator[FoldedMarket]:
    """A market of its own for each test, without a candle."""
    with FoldedMarket(deployment, SYMBOLS) as market:
        yield market


@pytest.fixture
def open_pages(chromium: Browser) -> Iterator[OpenPages]:
    """Return a function that opens pages of a live page; afterwards nothing may have complained."""
    with ExitStack() as stack:
        opened: list[BrowserPages] = []

        def open_pages(live_page: LivePage) -> BrowserPages:
            opened.append(BrowserPages(chromium, live_page.address))
            stack.callback(opened[-1].close)
            return opened[-1]

        yield open_pages
    assert [text for pages in opened for text in pages.complaints()] == []


def test_empty_then_waiting_for_a_model_then_live(
    market: FoldedMarket, open_pages: OpenPages
) -> None:
    live_page = LivePage(market.deployment)
    live_page.start()
    page = open_pages(live_page).open()
    expect_state(page, "empty")
    empty = page.locator("#state").inner_text()

    market.close_unpredicted(20)
    expect_state(page, "waiting_for_model")
    expect(page.locator("#state")).not_to_have_text(empty)
    expect_number(cell(page, FIRST, "close"), float(market.closes[0]))

    market.release()
    market.close(2)
    expect_state(page, "live")
    expect_number(cell(page, FIRST, "steps"), market.newest[FIRST].steps, 9)


@pytest.fixture
def fast_market(deployment: Deployment) -> Iterator[FoldedMarket]:
    """A market that has closed a candle a second, and is overdue after seconds."""
    with FoldedMarket(deployment, SYMBOLS, pace_ms=1_000) as market:
        yield market


def test_a_feed_that_stops_is_shown_as_stale_until_it_goes_on(
    fast_market: FoldedMarket, open_pages: OpenPages
) -> None:
    market = fast_market
    market.close_unpredicted(20)
    market.release()
    market.close(2)
    live_page = LivePage(market.deployment)
    live_page.start()
    page = open_pages(live_page).open()
    market.close()
    expect_state(page, "live")

    expect_state(page, "stale")
    expect(page.locator("#state")).to_be_visible()
    expect_number(cell(page, FIRST, "close"), float(market.closes[0]))

    market.close()
    expect_state(page, "live")


def test_a_page_reconnects_by_itself_after_its_server_was_restarted(
    market: FoldedMarket, open_pages: OpenPages
) -> None:
    market.close_unpredicted(20)
    market.release()
    market.close(2)
    live_page = LivePage(market.deployment)
    live_page.start()
    pages = open_pages(live_page)
    pages.expect(CONNECTION)
    page = pages.open()
    expect_state(page, "live")
    page.evaluate("window.stayed = true")
    page.locator("#filter").fill("E")

    live_page.stop()
    expect_state(page, "disconnected")
    market.close(closes={FAMILIAR[1]: 1.5 * float(market.closes[1])})
    live_page.start()

    expect_state(page, "live")
    expect_number(cell(page, FAMILIAR[1], "close"), float(market.closes[1]))
    assert page.evaluate("window.stayed")
    expect(page.locator("#filter")).to_have_value("E")


def test_kafka_down_is_told_from_the_pages_server_down(
    tmp_path: Path, running_servers: Servers, open_pages: OpenPages
) -> None:
    port = reserve_port()
    with (
        kafka_behind_links(tmp_path / "kafka", port, []) as kafka,
        Deployment(
            KafkaConnection(f"127.0.0.1:{port}"), running_servers.redis_url, "down.", tmp_path
        ) as deployment,
        FoldedMarket(deployment, SYMBOLS) as market,
    ):
        market.close_unpredicted(20)
        market.release()
        market.close(2)
        live_page = LivePage(deployment)
        live_page.start()
        pages = open_pages(live_page)
        pages.expect(CONNECTION)
        page = pages.open()
        expect_state(page, "live")

        kafka.kill()
        expect_state(page, "kafka_down")
        kafka.launch()
        expect_state(page, "live")

        live_page.stop()
        expect_state(page, "disconnected")


def test_a_server_that_hangs_is_shown_as_disconnected(
    market: FoldedMarket, open_pages: OpenPages
) -> None:
    market.close_unpredicted(20)
    live_page = LivePage(market.deployment)
    live_page.start()
    pages = open_pages(live_page)
    pages.expect(CONNECTION)
    page = pages.open()
    expect_state(page, "waiting_for_model")
    assert live_page.process is not None

    live_page.process.process.send_signal(signal.SIGSTOP)
    try:
        expect_state(page, "disconnected")
    finally:
        live_page.process.process.send_signal(signal.SIGCONT)

    expect_state(page, "waiting_for_model")
