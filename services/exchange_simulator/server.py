"""The exchange simulator's server, from its settings to its shutdown."""

import asyncio
import logging
import signal
from pathlib import Path

from aiohttp import web

from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.market_view import MarketView, open_market
from services.exchange_simulator.rest import RestApi
from services.exchange_simulator.settings import SimulatorSettings
from services.exchange_simulator.streams import StreamService
from shared.adapters.atomic_write import write_atomically
from shared.core.errors import BadSetting

log = logging.getLogger(__name__)


async def run(settings: SimulatorSettings) -> None:
    """Serve REST and streams until SIGTERM or SIGINT.

    Raises:
        BadSetting: the candles, the start or the port cannot be used.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    view, start_ms = open_market(settings)
    clock = AcceleratedClock(start_ms, settings.speed)
    streams = StreamService(view, clock)
    application = web.Application()
    application.add_routes(RestApi(view, clock).routes())
    application.add_routes([*streams.routes(), web.get("/health/live", _respond_alive)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        _announce(settings, view, await _listen(runner, settings))
        await _push_until_stopped(streams, stop)
    finally:
        await runner.cleanup()


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
        "exchange simulator on http://%s:%d: %d symbols, %s, speed %g",
        settings.host,
        port,
        len(view.market.symbols),
        f"candles of {settings.candles}" if settings.candles else "synthetic candles",
        settings.speed,
    )
    if settings.port_file is not None:
        _write_port(settings.port_file, port)


def _write_port(path: Path, port: int) -> None:
    try:
        write_atomically(path, f"{port}\n".encode())
    except OSError as error:
        message = f"EXCHANGE_PORT_FILE is {path}: cannot write it ({error.strerror})"
        raise BadSetting(message) from error


async def _push_until_stopped(streams: StreamService, stop: asyncio.Event) -> None:
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
