"""The live page's server within the test's process."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from services.dashboard.__main__ import build_server
from services.dashboard.settings import DashboardSettings
from services.dashboard.web.server import DashboardServer
from shared.adapters.prometheus import Telemetry
from tests.support.waiting import eventually


@dataclass(frozen=True)
class Answer:
    """An answer that was read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class RunningPage:
    """A page that listens, and the telemetry of its service."""

    port: int
    telemetry: Telemetry

    def request(self, method: str, path: str, **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def summary(self) -> Any:
        return self.get("/api/overview").json()["summary"]

    @contextmanager
    def events(self, path: str = "/api/events") -> Iterator[HTTPResponse]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            yield connection.getresponse()
        finally:
            connection.close()


def next_event(stream: HTTPResponse, name: str) -> Any:
    """Read events until one of this name; return its data."""
    while True:
        if stream.readline() == f"event: {name}\n".encode():
            return json.loads(stream.readline().removeprefix(b"data: "))


@contextmanager
def a_running_page(**environ: str) -> Iterator[RunningPage]:
    """Serve the page from a thread of its own, until the block ends."""
    settings = DashboardSettings.from_env({"DASHBOARD_PORT": "0", **environ})
    telemetry = Telemetry("dashboard")
    server = build_server(settings, telemetry)
    stopping = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(_serve(server, stopping),))
    thread.start()
    try:
        eventually(lambda: server.port or not thread.is_alive(), poll_interval_s=0.02)
        assert server.port is not None
        yield RunningPage(server.port, telemetry)
    finally:
        stopping.set()
        thread.join(20)
        assert not thread.is_alive()


async def _serve(server: DashboardServer, stopping: threading.Event) -> None:
    stop = asyncio.Event()

    async def watch() -> None:
        await asyncio.to_thread(stopping.wait)
        stop.set()

    watching = asyncio.create_task(watch())
    await server.run(stop)
    stopping.set()
    await watching
