"""The stand-in exchange, from its settings to its end."""

import asyncio
import logging
import signal
import time
from pathlib import Path
from typing import Final

from aiohttp import web

from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.faults import Faults
from services.exchange_simulator.market import CandleSource, recorded
from services.exchange_simulator.rest import RestApi
from services.exchange_simulator.settings import SimulatorSettings
from services.exchange_simulator.streams import Streams
from services.exchange_simulator.synthetic import SyntheticMarket, is_synthetic, names
from services.exchange_simulator.view import View
from shared.adapters.atomic_write import write_atomically
from shared.core.errors import BadInput, BadSetting
from shared.core.topics import interval_ms

log = logging.getLogger(__name__)

SYMBOLS: Final = 20  # of a synthetic market that is told nothing else
HISTORY: Final = 2016  # candles of a synthetic market before its start: a week of 5m


async def run(settings: SimulatorSettings, faults: Faults) -> None:
    """Trade until SIGTERM or SIGINT.

    Raises:
        BadSetting: the candles, the span or the port are not to be had.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    view, start_ms = opened(settings)
    clock = AcceleratedClock(start_ms, time.monotonic(), settings.speed)
    streams = Streams(view, clock, faults)
    application = web.Application()
    application.add_routes(
        [*RestApi(view, clock, faults).routes(), *streams.routes(), web.get("/health/live", _alive)]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        _announce(settings, view, await _listen(runner, settings))
        await _trade(streams, stop)
    finally:
        await runner.cleanup()


def opened(settings: SimulatorSettings) -> tuple[View, int]:
    """Return the market as the settings want it seen, and the exchange time to start at, in milliseconds.

    Raises:
        BadSetting: the candles cannot be used, or history and start do not fit them.
    """
    step = interval_ms(settings.interval)
    market = _market(settings, step)
    begin_ms, history = market.begin_ms, settings.history
    if settings.start_ms is None:
        before = _default_history(market, step) if history is None else history
        start_ms, from_ms = begin_ms + before * step, begin_ms
    else:
        start_ms = settings.start_ms
        from_ms = begin_ms if history is None else max(begin_ms, start_ms - history * step)
    if start_ms < begin_ms or (market.end_ms is not None and start_ms >= market.end_ms):
        name = "EXCHANGE_START_MS" if settings.start_ms is not None else "EXCHANGE_HISTORY"
        span = f"{begin_ms} to {market.end_ms or 'no end'}"
        raise BadSetting(
            f"{name} puts the start at {start_ms} ms; the candles reach from {span}: start among them"
        )
    return View(market, settings.interval, step, from_ms), start_ms


def _default_history(market: CandleSource, step: int) -> int:
    return HISTORY if market.end_ms is None else (market.end_ms - market.begin_ms) // step // 2


def _market(settings: SimulatorSettings, step: int) -> CandleSource:
    if settings.candles is not None:
        try:
            return recorded(settings.candles, step, settings.symbol_list, settings.symbol_count)
        except BadInput as error:
            raise BadSetting(f"EXCHANGE_CANDLES cannot be used: {error}") from error
    symbols = settings.symbol_list or names(settings.symbol_count or SYMBOLS)
    if real := [symbol for symbol in symbols if not is_synthetic(symbol)]:
        raise BadSetting(
            f"EXCHANGE_SYMBOLS names {', '.join(real)}, and without EXCHANGE_CANDLES there are only synthetic symbols: "
            f"give a count, or names such as {names(1)[0]}"
        )
    return SyntheticMarket(symbols, step, settings.seed)


async def _listen(runner: web.AppRunner, settings: SimulatorSettings) -> int:
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        raise BadSetting(
            f"EXCHANGE_HOST and EXCHANGE_PORT: cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
            "choose others"
        ) from error
    port: int = runner.addresses[0][1]
    return port


def _announce(settings: SimulatorSettings, view: View, port: int) -> None:
    what = (
        "synthetic candles"
        if settings.candles is None
        else f"candles recorded in {settings.candles}"
    )
    count = len(view.market.symbols)
    log.info(
        "listening on http://%s:%d: %d symbols, %s, speed %g",
        settings.host,
        port,
        count,
        what,
        settings.speed,
    )
    if settings.port_file is not None:
        _write(settings.port_file, f"{port}\n")


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise BadSetting(
            f"EXCHANGE_PORT_FILE is {path}: cannot write it ({error.strerror})"
        ) from error


async def _trade(streams: Streams, stop: asyncio.Event) -> None:
    trading = asyncio.create_task(streams.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((trading, stopping), return_when=asyncio.FIRST_COMPLETED)
    if trading.done():
        trading.result()
        log.info("the recording has ended; requests are still answered")
    await stopping
    trading.cancel()
    await streams.close()


async def _alive(_: web.Request) -> web.Response:
    return web.Response(text="alive\n")
