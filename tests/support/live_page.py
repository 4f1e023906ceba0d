"""The live page as a process, and pages of a browser that look at it."""

import json
import signal
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.chromium import Complaints
from tests.support.deployment import Deployment, Replica
from tests.support.servers import reserve_port
from tests.support.waiting import eventually

START_S: Final = 40.0
DESKTOP: Final = {"width": 1440, "height": 900}


@dataclass
class LivePage:
    """`python -m services.dashboard` on one address, which it keeps over restarts."""

    deployment: Deployment
    environ: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=reserve_port)
    process: Replica | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; return once it answers."""
        self.process = self.deployment.start(
            "services.dashboard", DASHBOARD_PORT=str(self.port), **self.environ
        )
        eventually(self._answers, START_S, 0.05)

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        if self.process is not None:
            assert self.process.kill(signal.SIGTERM) == 0, self.process.log_text()

    def get(self, path: str) -> Any:
        """Return the JSON of a path."""
        with urllib.request.urlopen(f"{self.address}{path}", timeout=10) as answer:
            return json.load(answer)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.process.poll() is None, self.process.log_text()
        try:
            self.get("/api/overview")
        except OSError:
            return False
        return True


class BrowserPages:
    """The pages that a test opens, each in a fresh context; their complaints are kept."""

    def __init__(self, browser: Browser, address: str) -> None:
        """Open nothing yet.

        Args:
            browser: to open them with.
            address: of the live page.
        """
        self._browser, self._address = browser, address
        self._contexts: list[BrowserContext] = []
        self._complaints: list[Complaints] = []
        self._expected: list[str] = []

    def open(self, path: str = "/", **options: Any) -> Page:
        """Open a path of the live page in a context with these options of Playwright's."""
        context = self._browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB"} | options)
        self._contexts.append(context)
        page = context.new_page()
        self._complaints.append(Complaints(page, self._address))
        page.goto(f"{self._address}{path}", wait_until="commit")
        return page

    def expect(self, pattern: str) -> None:
        """Let complaints pass that match a pattern."""
        self._expected.append(pattern)

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def complaints(self) -> list[str]:
        """Return the complaints of all pages that the test does not expect."""
        for one in self._complaints:
            for pattern in self._expected:
                one.expect(pattern)
        return [text for one in self._complaints for text in one.unexpected()]
