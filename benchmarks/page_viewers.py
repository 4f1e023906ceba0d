"""Viewers of the live page: browsers that note when values are on screen, and bare clients."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any, Final, Self, cast

from aiohttp import ClientSession, ClientTimeout, StreamReader
from playwright.sync_api import Browser, Page, ViewportSize

from benchmarks.deployment import until
from benchmarks.worker import Calls

WIDE: Final[ViewportSize] = {"width": 1440, "height": 900}

# Notes when all rows on screen show the same count of steps: until then some are of the close
# before. The time is that of the frame that paints them.
_NOTE_STEPS: Final = """
window.closes = [];
addEventListener("DOMContentLoaded", () => {
  const cells = '.ag-center-cols-container .ag-row [col-id="steps"]';
  let shown = "";
  const note = () => {
    const counts = new Set([...document.querySelectorAll(cells)].map((cell) => cell.textContent));
    const [count] = counts;
    if (counts.size !== 1 || count === shown) return;
    shown = count;
    requestAnimationFrame(() => window.closes.push([count, Date.now() / 1000]));
  };
  new MutationObserver(note).observe(document.body, {
    subtree: true, childList: true, characterData: true,
  });
});
"""
_FIRST_PAINT: Final = """
() => performance.getEntriesByName("first-contentful-paint")[0].startTime / 1000
"""


class OpenBrowsers:
    """Pages that show the overview, each in a context of its own, as those of many viewers."""

    def __init__(self, browser: Browser, address: str, count: int) -> None:
        """Open the pages.

        Args:
            browser: to open them with.
            address: of the live page.
            count: of pages.
        """
        self._contexts = [browser.new_context(viewport=WIDE) for _ in range(count)]
        self._pages = [context.new_page() for context in self._contexts]
        for page in self._pages:
            page.add_init_script(_NOTE_STEPS)
            page.goto(address)
            page.wait_for_selector(".ag-row")

    def shown_s(self, steps: int) -> list[float]:
        """Wait until every row on the screen of every page shows this count of steps.

        Returns:
            When each page did (s since 1970).
        """
        return [_shown_s(page, f"{steps:,}") for page in self._pages]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the pages."""
        for context in self._contexts:
            context.close()


def first_paints(browser: Browser, address: str, count: int) -> list[tuple[float, float]]:
    """Open the page with an empty cache, again and again.

    Returns:
        Seconds until the first paint, and until rows are on screen, of each time.
    """
    return [_first_paint(browser, address) for _ in range(count)]


def _first_paint(browser: Browser, address: str) -> tuple[float, float]:
    context = browser.new_context(viewport=WIDE)
    try:
        page, started_s = context.new_page(), time.monotonic()
        page.goto(address, wait_until="commit")
        page.wait_for_selector(".ag-row")
        rows_s = time.monotonic() - started_s
        return float(page.evaluate(_FIRST_PAINT)), rows_s
    finally:
        context.close()


def _shown_s(page: Page, text: str) -> float:
    found: list[float] = []

    def is_shown() -> bool:
        closes = cast(list[tuple[str, float]], page.evaluate("window.closes"))
        found.extend(moment for each, moment in closes if each == text)
        return bool(found)

    until(is_shown)
    return found[0]


def event_calls(address: str, clients: int) -> Calls:
    """Return calls of clients that read the server's events and draw nothing."""
    listeners = [EventListener() for _ in range(clients)]

    async def listen() -> None:
        async with ClientSession(timeout=ClientTimeout(total=None)) as session:
            await asyncio.gather(*(each.listen(session, address) for each in listeners))

    threading.Thread(target=lambda: asyncio.run(listen()), daemon=True).start()

    def arrivals(steps: int, symbols: int) -> list[float]:
        """Wait until every client has these steps of all symbols; return when each had (s)."""
        until(lambda: all(each.moment_of(steps, symbols) for each in listeners))
        return [each.moment_of(steps, symbols) for each in listeners]

    def ready() -> None:
        until(lambda: all(each.columns for each in listeners))

    return {"ready": ready, "arrivals": arrivals, "bytes": lambda: listeners[0].received}


class EventListener:
    """One client of the server's events."""

    def __init__(self) -> None:
        """Begin without values."""
        self.columns: tuple[str, ...] = ()
        self.received = 0  # bytes
        self._steps: dict[str, int] = {}
        self._moments: dict[int, tuple[float, int]] = {}  # least steps -> since when, symbols

    def moment_of(self, steps: int, symbols: int) -> float:
        """Return when this many symbols had these steps; 0 if they have not."""
        moment, count = self._moments.get(steps, (0.0, 0))
        return moment if count >= symbols else 0.0

    async def listen(self, session: ClientSession, address: str) -> None:
        """Fetch the overview, then take over the events until the server closes."""
        async with session.get(f"{address}/api/events") as answer:
            async with session.get(f"{address}/api/overview") as overview:
                fields = await overview.json()
            self.columns = tuple(fields["columns"])
            self._take(fields["rows"])
            async for name, data in _events(answer.content):
                self.received += len(data)
                if name == b"overview":
                    self._take(_rows_of(data))

    def _take(self, rows: list[list[Any]]) -> None:
        at = self.columns.index("steps")
        self._steps |= {row[0]: row[at] for row in rows if row[at] is not None}
        if rows and self._steps:
            newest = (time.time(), len(self._steps))
            self._moments.setdefault(min(self._steps.values()), newest)


@lru_cache(maxsize=32)
def _rows_of(data: bytes) -> list[list[Any]]:
    """Return the rows of an event; all clients get the same bytes."""
    return cast(list[list[Any]], json.loads(data)["rows"])


async def _events(stream: StreamReader) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield the name and the data of server-sent events."""
    name, data, rest = b"", b"", b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"event:"):
                name = line[6:].strip()
            elif line.startswith(b"data:"):
                data += line[5:].strip()
            elif not line:
                yield name, data
                name, data = b"", b""
