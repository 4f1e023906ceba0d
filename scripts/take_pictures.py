"""Take the pictures of the live page anew: `make pictures`. Needs Chromium; minutes.

Twenty symbols come from the demo, on the simulator's candles or, with KLINES=FOLDER, on recorded
ones; two thousand from a market of random walks with real predictors.
"""

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.sync_api import Browser, Page

from shared.local_servers import launcher
from shared.local_servers.launcher import kill_with_parent
from tests.support.chromium import Complaints, running_chromium
from tests.support.deployment import Deployment
from tests.support.folded_market import FoldedMarket, many_symbols
from tests.support.live_page import LivePage
from tests.support.page_parts import expect_values
from tests.support.waiting import eventually

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "docs" / "pictures"
ADDRESS: Final = re.compile(r"http://(?:127\.0\.0\.1|localhost):\d+")
DESKTOP: Final = {"viewport": {"width": 1440, "height": 880}}
PHONE: Final = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}
COLOURS: Final = 256
DEMO_S: Final = 420.0  # until enough predictions have met their outcomes
LEAST_STEPS: Final = 60
MANY: Final = 2_000

# Name of the picture -> path of the page, options of the browser.
OF_TWENTY: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "overview": ("/", DESKTOP),
    "overview-dark": ("/", {**DESKTOP, "color_scheme": "dark"}),
    "overview-phone": ("/", PHONE),
    "symbol": ("/symbols/{symbol}", DESKTOP),
    "symbol-dark": ("/symbols/{symbol}", {**DESKTOP, "color_scheme": "dark"}),
    "symbol-phone": ("/symbols/{symbol}", PHONE),
    "models": ("/models", DESKTOP),
    "health": ("/health", DESKTOP),
}
OF_MANY: Final[dict[str, tuple[str, dict[str, Any]]]] = {"overview-2000": ("/", DESKTOP)}


def main() -> None:
    """Take all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with running_chromium() as browser:
        with running_demo() as address:
            take_pictures(browser, address, OF_TWENTY, await_steps(browser, address))
        with running_market() as address:
            take_pictures(browser, address, OF_MANY, many_symbols(1)[0])


@contextmanager
def running_demo() -> Iterator[str]:
    """Run `ulstm up`; yield the address of its page."""
    recorded = os.environ.get("KLINES")
    candles = ["--candles", recorded] if recorded else []
    command = [sys.executable, "-m", "services.cli", "up", "--no-open", *candles]
    with tempfile.TemporaryFile() as output:
        environ = {**os.environ, "COLUMNS": "200", "DASHBOARD_PORT": "0"}
        process = subprocess.Popen(
            kill_with_parent(command), env=environ, stdout=output, stderr=output
        )
        try:
            found: list[str] = []

            def has_address() -> bool:
                output.seek(0)
                found[:] = ADDRESS.findall(output.read().decode(errors="replace"))
                return bool(found)

            eventually(has_address, DEMO_S)
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


@contextmanager
def running_market() -> Iterator[str]:
    """Run a market of many symbols, two predictors and the page; yield the page's address."""
    with (
        tempfile.TemporaryDirectory() as folder,
        launcher.start(Path(folder) / "servers", die_with_parent=True) as running,
        Deployment(
            running.servers.kafka, running.servers.redis_url, "", Path(folder), 6
        ) as deployment,
        FoldedMarket(deployment, many_symbols(MANY)) as market,
    ):
        market.release()
        predictors = [deployment.start_predictor() for _ in range(2)]
        market.close_unpredicted(50)
        wanted = len(market.symbols) * market.candles
        eventually(
            lambda: (
                sum(each.metric("ulstm_predictor_candles_total") for each in predictors) >= wanted
            ),
            DEMO_S,
        )
        live_page = LivePage(deployment)
        live_page.start()
        for _ in range(4):
            market.close_unpredicted()
            time.sleep(4.0)  # a pace by which the page counts the feed as live
        yield live_page.address


def await_steps(browser: Browser, address: str) -> str:
    """Wait until every symbol's predictions have met enough outcomes; return a symbol."""
    page, symbols = browser.new_page(), list[str]()

    def has_enough() -> bool:
        overview = page.request.get(f"{address}/api/overview").json()
        at = overview["columns"].index("steps")
        steps = [row[at] or 0 for row in overview["rows"]]
        symbols[:] = [row[0] for row in overview["rows"]]
        return bool(steps) and min(steps) >= LEAST_STEPS

    eventually(has_enough, DEMO_S, 1.0)
    page.close()
    return symbols[0]


def take_pictures(
    browser: Browser, address: str, pictures: dict[str, tuple[str, dict[str, Any]]], symbol: str
) -> None:
    """Take pictures of one deployment's page; a page that complains ends the program."""
    for name, (path, options) in pictures.items():
        context = browser.new_context(**options, locale="en-GB", device_scale_factor=1.4)
        page = context.new_page()
        complaints = Complaints(page, address)
        page.goto(address + path.format(symbol=symbol))
        expect_values(page)
        await_drawn(page)
        save(page.screenshot(), FOLDER / f"{name}.png")
        context.close()
        if complaints.unexpected():
            raise SystemExit(f"error: {name}: {'; '.join(complaints.unexpected())}")


def await_drawn(page: Page) -> None:
    """Wait until table, charts and their fade-ins are there."""
    page.wait_for_load_state("load")
    page.wait_for_timeout(2_500)


def save(png: bytes, file: Path) -> None:
    """Write a picture with a palette, a quarter of its size."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
