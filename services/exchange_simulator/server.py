"""The exchange simulator's server, from its settings to its shutdown."""

import asyncio
import logging
import signal
from pathlib import Path
from typing import Final

from aiohttp import web

from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.faults.mix import draw_mix
from services.exchange_simulator.faults.plan import FaultPlan
from services.exchange_simulator.faults.rest_faults import RestFaults
from services.exchange_simulator.faults.script import FaultScript, read_script
from services.exchange_simulator.faults.stream_faults import StreamFaults
from services.exchange_simulator.market_view import MarketView, open_market
from services.exchange_simulator.rest import RestApi
from services.exchange_simulator.settings import SimulatorSettings
from services.exchange_simulator.streams import StreamApi
from services.exchange_simulator.usage import Usage
from shared.adapters.atomic_write import write_atomically
from shared.core.errors import BadSetting

log = logging.getLogger(__name__)

CLEANUP_S: Final = 1.0  # for requests that are still being answered, perhaps never


async def run(settings: SimulatorSettings) -> None:
    """Serve REST and streams until SIGTERM or SIGINT.

    Raises:
        BadSetting: the candles, the start, the script of faults or the port cannot be used.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    script = FaultScript() if settings.faults is None else read_script(settings.faults)
    await ExchangeServer(settings, script).run(stop)


class ExchangeServer:
    """A market with its clock, served with the faults of a script."""

    def __init__(self, settings: SimulatorSettings, script: FaultScript) -> None:
        """Open the market and start the clock; `run` serves.

        Raises:
            BadSetting: the candles or the start cannot be used.
        """
        self._settings = settings
        self.view, start_ms = open_market(settings)
        self.clock = AcceleratedClock(start_ms, settings.speed)
        self.usage = Usage()
        symbols, duration_ms = self.view.market.symbols, self.view.interval_ms
        faults = (*script.faults, *draw_mix(script.mix, symbols))
        first_ms = -(-start_ms // duration_ms) * duration_ms
        origin_ms = first_ms if script.origin == "start" else None
        self.plan = FaultPlan(faults, self.clock, duration_ms, origin_ms)
        self.view.market.follow(self.plan)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve REST and streams until stop is set.

        Raises:
            BadSetting: the port cannot be used.
        """
        streams = StreamApi(
            self.view,
            self.clock,
            StreamFaults(self.plan, self.clock),
            self.usage,
            self._settings.push_interval_s,
        )
        runner = web.AppRunner(
            self._application(streams), access_log=None, shutdown_timeout=CLEANUP_S
        )
        await runner.setup()
        try:
            self.port = await _listen(runner, self._settings)
            _announce(self._settings, self.view, self.port)
            await _push_until_stopped(streams, stop)
        finally:
            await runner.cleanup()

    def _application(self, streams: StreamApi) -> web.Application:
        api = RestApi(self.view, self.clock, self._settings.weight_per_minute)
        faults = RestFaults(self.plan, self.clock, api.weights, self.usage)
        application = web.Application(middlewares=[faults.middleware])
        application.add_routes(api.routes())
        application.add_routes([*streams.routes(), web.get("/health/live", _respond_alive)])
        application.add_routes([web.get("/usage", self._respond_usage)])
        return application

    async def _respond_usage(self, _: web.Request) -> web.Response:
        return web.json_response(self.usage.summary())


async def _listen(runner: web.AppRunner, settings: SimulatorSettings) -> int:
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        address = f"{settings.host}:{settings.port}"
        raise BadSetting(
            f"EXCHANGE_HOST and EXCHANGE_PORT: cannot listen on {address} ({error.strerror});"
            " choose others"
        ) from error
    port: int = runner.addresses[0][1]
    return port


def _announce(settings: SimulatorSettings, view: MarketView, port: int) -> None:
    log.info(
        "exchange simulator on http://%s:%d: %d symbols, %s, speed %g, %s",
        settings.host,
        port,
        len(view.market.symbols),
        f"candles of {settings.candles}" if settings.candles else "synthetic candles",
        settings.speed,
        f"faults of {settings.faults}" if settings.faults else "no faults",
    )
    if settings.port_file is not None:
        _write_port(settings.port_file, port)


def _write_port(path: Path, port: int) -> None:
    try:
        write_atomically(path, f"{port}\n".encode())
    except OSError as error:
        message = f"EXCHANGE_PORT_FILE is {path}: cannot write it ({error.strerror})"
        raise BadSetting(message) from error


async def _push_until_stopped(streams: StreamApi, stop: asyncio.Event) -> None:
    pushing = asyncio.create_task(streams.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((pushing, stopping), return_when=asyncio.FIRST_COMPLETED)
    if pushing.done():
        pushing.result()
        log.info("the recording has ended; requests are still answered")
    await stopping
    # Without the push task, the announcement is the last message that a client gets.
    pushing.cancel()
    await streams.close()


async def _respond_alive(_: web.Request) -> web.Response:
    return web.Response(text="alive\n")
