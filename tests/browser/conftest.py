"""A real Kafka, a market in it, the live page as a process, and a real Chromium that looks at it.

All of them last for a module. Every page fails its test if its console, its scripts or its requests
complain, or if it asks another host than its own.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser

from shared.core.errors import Unavailable
from shared.local_servers.data_folder import Servers
from tests.support.chromium import find_chromium, running_chromium
from tests.support.deployment import Deployment
from tests.support.folded_market import FAMILIAR, FoldedMarket
from tests.support.live_page import BrowserPages, LivePage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            for name in ("browser", "integration", "end_to_end"):
                item.add_marker(name)


# Not for the whole session: while Playwright runs, no other test could call asyncio.run.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    try:
        find_chromium()
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page_deployment(
    running_servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A deployment for a module."""
    kafka, redis = running_servers.kafka, running_servers.redis_url
    folder = tmp_path_factory.mktemp("deployment")
    with Deployment(kafka, redis, f"page-{uuid4().hex[:12]}.", folder) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def symbols() -> Sequence[str]:
    """The symbols of the market; a module may have others."""
    return FAMILIAR


@pytest.fixture(scope="module")
def history() -> int:
    """Return how many candles of each symbol are there, and predicted, before a test."""
    return 100  # by then every symbol's forecasts are other than zero


@pytest.fixture(scope="module")
def market(
    page_deployment: Deployment, symbols: Sequence[str], history: int
) -> Iterator[FoldedMarket]:
    """A market with a history and a model that predicts it."""
    with FoldedMarket(page_deployment, symbols) as market:
        market.release()
        market.close(history)
        yield market


@pytest.fixture(scope="module")
def live_page(market: FoldedMarket) -> LivePage:
    live_page = LivePage(market.deployment)
    live_page.start()
    return live_page


@pytest.fixture
def pages(chromium: Browser, live_page: LivePage) -> Iterator[BrowserPages]:
    pages = BrowserPages(chromium, live_page.address)
    yield pages
    pages.close()
    assert pages.complaints() == []
