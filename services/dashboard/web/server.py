"""The web server of the live page, from its parts to its shutdown."""

import asyncio
import logging
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from services.dashboard.live.live_reader import LiveReader
from services.dashboard.live.update_publisher import UpdatePublisher
from services.dashboard.live.updates import BoardUpdate
from services.dashboard.metrics import DashboardMetrics
from services.dashboard.ports import ClusterSource, HistorySource, ModelsSource
from services.dashboard.settings import DashboardSettings
from services.dashboard.web.assets import Assets, find_vendor_folder
from services.dashboard.web.event_hub import EventHub
from services.dashboard.web.page_state import PageState
from services.dashboard.web.reports import Reports
from services.dashboard.web.routes import Rooms, Routes, add_headers, confine
from services.dashboard.web.symbol_followers import SymbolFollowers
from shared.adapters.atomic_write import write_atomically
from shared.core.errors import BadSetting

log = logging.getLogger(__name__)

READERS: Final = 2  # requests for the log that are answered at the same time
SHUTDOWN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class LogSources:
    """The rooms that read the log and ask the services."""

    history: HistorySource
    models: ModelsSource
    cluster: ClusterSource


class DashboardServer:
    """Reads the topics on one thread, and serves browsers on the event loop."""

    def __init__(
        self, settings: DashboardSettings, metrics: DashboardMetrics, readers: LogSources
    ) -> None:
        """Find the page's files; connect to nothing yet.

        Raises:
            BadSetting: the package with the page's libraries is not installed.
        """
        self._settings, self._metrics, self._readers = settings, metrics, readers
        self._assets = Assets(find_vendor_folder())
        self._hub = EventHub(metrics.count_reset)
        self._state = PageState(self._hub)
        self.port: int | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until stop is set.

        Raises:
            BadSetting: the port cannot be used.
        """
        with ThreadPoolExecutor(READERS, "log") as threads:
            followers = SymbolFollowers(self._readers.history, self._hub, threads)
            runner = web.AppRunner(
                self._application(followers, threads),
                access_log=None,
                shutdown_timeout=SHUTDOWN_S,
            )
            await runner.setup()
            try:
                await self._listen(runner)
                await self._run_until_stopped(followers, stop)
            finally:
                followers.close()
                self._hub.close()
                await runner.cleanup()

    async def _run_until_stopped(self, followers: SymbolFollowers, stop: asyncio.Event) -> None:
        """Run what reads and what asks; end all when one of them fails."""
        loop, thread_stop = asyncio.get_running_loop(), threading.Event()

        def apply(update: BoardUpdate) -> None:
            self._metrics.browsers.set(self._hub.browsers)
            self._state.apply(update)
            followers.add(update.records)

        publisher = UpdatePublisher(
            self._metrics, lambda update: loop.call_soon_threadsafe(apply, update)
        )
        reader = LiveReader(self._settings, publisher, lambda: self._hub.watched_symbols)
        with ThreadPoolExecutor(1, "live") as live, ThreadPoolExecutor(1, "ask") as ask:
            reports = Reports(self._readers.cluster, self._readers.models, self._hub, ask)
            reading = loop.run_in_executor(live, reader.run_until_stopped, thread_stop)
            asking = loop.create_task(
                reports.run(
                    lambda: self._state.facts, publisher.take_cluster, self._metrics.set_problems
                )
            )
            stopping = loop.create_task(stop.wait())
            tasks: list[asyncio.Future[Any]] = [reading, asking, stopping]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            thread_stop.set()
            asking.cancel()
            stopping.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        _raise_first(outcomes)

    def _application(self, followers: SymbolFollowers, threads: Executor) -> web.Application:
        readers = self._readers
        rooms = Rooms(
            self._assets,
            self._state,
            self._hub,
            readers.history,
            readers.models,
            readers.cluster,
            followers,
            threads,
            self._metrics.count_sent,
        )
        application = web.Application(middlewares=[confine(self._settings.allowed_hosts)])
        application.on_response_prepare.append(add_headers)
        application.add_routes(Routes(rooms).table())
        return application

    async def _listen(self, runner: web.AppRunner) -> None:
        host, port = self._settings.dashboard_host, self._settings.dashboard_port
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise BadSetting(
                f"DASHBOARD_HOST and DASHBOARD_PORT: cannot listen on {host}:{port}"
                f" ({error.strerror}); choose others"
            ) from error
        self.port = runner.addresses[0][1]
        log.info("live page: http://%s:%d", host, self.port)
        if self._settings.dashboard_port_file:
            _write_port(Path(self._settings.dashboard_port_file), self.port)


def _raise_first(outcomes: Sequence[object]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


def _write_port(path: Path, port: int) -> None:
    try:
        write_atomically(path, f"{port}\n".encode())
    except OSError as error:
        message = f"DASHBOARD_PORT_FILE is {path}: cannot write it ({error.strerror})"
        raise BadSetting(message) from error


def stop_on_signals(stop: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT set an event."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
