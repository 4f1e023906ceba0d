"""The system's Chromium, driven by Playwright: pages that are watched for complaints."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

from shared.core.errors import Unavailable

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HINT: Final = (
    "no Chromium on PATH: install your system's package, such as `sudo apt install chromium`, or"
    " name one with CHROMIUM=/path/to/chromium"
)
QUIET: Final = frozenset({"log", "info", "debug"})  # kinds of console messages
INSIDE: Final = frozenset({"data", "blob", "about"})  # schemes that ask no host
ABORTED: Final = "net::ERR_ABORTED"  # the page itself ended the request, as when it is left


def find_chromium(environ: Mapping[str, str] = os.environ) -> str:
    """Return the path of the browser.

    Raises:
        Unavailable: there is none.
    """
    named = environ.get("CHROMIUM")
    found = [path for name in ((named,) if named else NAMES) if (path := shutil.which(name))]
    if not found:
        raise Unavailable(f"CHROMIUM is {named!r}, which is no program" if named else HINT)
    return found[0]


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Start the browser without a window.

    Raises:
        Unavailable: there is none.
    """
    path = find_chromium()
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # the sandbox refuses root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Complaints:
    """What a page's console, its scripts and its requests complained about."""

    def __init__(self, page: Page, address: str) -> None:
        """Listen to a page.

        Args:
            page: to listen to.
            address: of the only server that it may ask, as http://host:port.
        """
        self.found: list[str] = []
        self._host = urlsplit(address).netloc
        self._expected: list[re.Pattern[str]] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.found.append(f"script error: {error}"))
        page.on("request", self._on_request)
        page.on("requestfailed", self._on_failure)
        page.on("response", self._on_response)

    def expect(self, pattern: str) -> None:
        """Let complaints pass that match a pattern, such as those about a server that was stopped.

        It holds for those found already too.
        """
        self._expected.append(re.compile(pattern))

    def unexpected(self) -> list[str]:
        """Return the complaints that nothing expects."""
        return [text for text in self.found if not any(one.search(text) for one in self._expected)]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in QUIET:
            where = message.location.get("url", "")
            self.found.append(f"console {message.type}: {message.text} {where}".rstrip())

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in INSIDE and parts.netloc != self._host:
            self.found.append(f"asked another host: {request.url}")

    def _on_failure(self, request: Request) -> None:
        if request.failure != ABORTED:
            self.found.append(f"request failed: {request.url} {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.found.append(f"answer {response.status}: {response.url}")
