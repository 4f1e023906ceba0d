"""The stream service: connections and their push schedule."""

import asyncio
import json
import time
from typing import Final

from aiohttp import web

from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.connection import MAX_MESSAGE_BYTES, MAX_STREAMS, ClientConnection
from services.exchange_simulator.faults.kline_changes import Event, dumps
from services.exchange_simulator.faults.stream_faults import StreamFaults
from services.exchange_simulator.kline import partial_candle, to_stream_event
from services.exchange_simulator.limits import AttemptLimiter
from services.exchange_simulator.market_view import PUSH_INTERVAL_MS, MarketView, push_times_ms
from services.exchange_simulator.usage import Usage

SHUTDOWN_TIMEOUT_S: Final = 2.0


class StreamApi:
    """Pushes every candle to its subscribers: while it is open, and once when it has closed."""

    def __init__(
        self,
        view: MarketView,
        clock: AcceleratedClock,
        faults: StreamFaults,
        usage: Usage,
        push_interval_s: float,
    ) -> None:
        """Start without connections.

        Args:
            view: the market.
            clock: the exchange's.
            faults: what stands between events and connections.
            usage: counts attempts to connect.
            push_interval_s: real seconds between two pushes of an open candle, at least.
        """
        self._view, self._clock, self._faults, self._usage = view, clock, faults, usage
        self._attempts = AttemptLimiter()
        self._connections: set[ClientConnection] = set()
        self._stream_symbols = {
            f"{symbol.lower()}@kline_{view.interval}": symbol for symbol in view.market.symbols
        }
        self._step_ms = max(PUSH_INTERVAL_MS, int(push_interval_s * 1000 * clock.speed))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of single and combined streams."""
        return [
            web.get("/ws", self._accept_single),
            web.get("/ws/{streams:.+}", self._accept_single),
            web.get("/stream", self._accept_combined),
        ]

    async def run(self) -> None:
        """Push candles as the exchange's time passes, until the market ends."""
        disturbing = asyncio.create_task(self._faults.run(self._connections))
        try:
            await self._push_candles()
        finally:
            disturbing.cancel()

    async def _push_candles(self) -> None:
        step = self._view.interval_ms
        open_ms = self._clock.now_ms() // step * step
        while not self._view.has_ended(open_ms):
            await self._run_candle(open_ms)
            open_ms += step

    async def close(self) -> None:
        """Announce the shutdown to every client and close its connection."""
        payload = json.dumps({"e": "serverShutdown", "E": self._clock.now_ms()})
        shutdowns = [
            asyncio.create_task(connection.send_and_close("!serverShutdown", payload))
            for connection in self._connections
        ]
        if shutdowns:
            await asyncio.wait(shutdowns, timeout=SHUTDOWN_TIMEOUT_S)
        for connection in self._connections:
            connection.abort()

    async def _run_candle(self, open_ms: int) -> None:
        close_ms = open_ms + self._view.interval_ms
        pushed = False
        for push_ms in push_times_ms(open_ms, self._view.interval_ms, self._step_ms):
            # Late pushes are left out, but for one before the close: every candle is seen open.
            until_ms = min(push_ms + self._step_ms, close_ms)
            if not pushed or self._clock.now_ms() < until_ms:
                await self._sleep_until(push_ms)
                self._push_all(open_ms, push_ms)
                pushed = True
        await self._sleep_until(close_ms)
        self._push_all(open_ms, close_ms)

    async def _sleep_until(self, time_ms: int) -> None:
        await asyncio.sleep(max(0.0, self._clock.seconds_until(time_ms)))

    def _push_all(self, open_ms: int, at_ms: int) -> None:
        subscribed = {stream for connection in self._connections for stream in connection.streams}
        # A stream in capitals is accepted and stays silent, as at Binance.
        for stream in sorted(subscribed & self._stream_symbols.keys()):
            event = self._event(stream, open_ms, at_ms)
            for late_s, changed in [] if event is None else self._faults.change(event):
                if late_s:
                    loop = asyncio.get_running_loop()
                    loop.call_later(late_s, self._push, stream, dumps(changed))
                else:
                    self._push(stream, dumps(changed))

    def _push(self, stream: str, payload: str) -> None:
        for connection in self._connections:
            if stream in connection.streams:
                connection.push(stream, payload)

    def _event(self, stream: str, open_ms: int, at_ms: int) -> Event | None:
        row = self._view.final_candle(self._stream_symbols[stream], open_ms)
        progress = (at_ms - open_ms) / self._view.interval_ms
        # While nobody trades, there is nothing to push before the close.
        if row is None or (row.trades == 0 and progress < 1):
            return None
        candle = row if progress >= 1 else partial_candle(row, progress)
        # A push may be late, but the close is announced neither before its time nor in two ways.
        event_ms = max(at_ms, self._clock.now_ms())
        if progress < 1:
            event_ms = min(event_ms, open_ms + self._view.interval_ms - 1)
        return to_stream_event(
            candle, self._view.interval, self._view.interval_ms, event_ms, closed=progress >= 1
        )

    async def _accept_single(self, request: web.Request) -> web.StreamResponse:
        streams = request.match_info.get("streams", "")
        return await self._accept(request, streams, combined=False)

    async def _accept_combined(self, request: web.Request) -> web.StreamResponse:
        return await self._accept(request, request.query.get("streams", ""), combined=True)

    async def _accept(
        self, request: web.Request, streams: str, *, combined: bool
    ) -> web.StreamResponse:
        self._usage.count_attempt()
        if not self._attempts.accept(time.monotonic()):
            self._usage.refusals[429] += 1
            return web.Response(status=429, headers={"Retry-After": "60"})
        if refused := await self._faults.refuse_handshake(request):
            self._usage.refusals[refused.status] += 1
            return refused
        names = [name for name in streams.split("/") if name][:MAX_STREAMS]
        socket = web.WebSocketResponse(autoping=False, max_msg_size=MAX_MESSAGE_BYTES)
        try:
            await socket.prepare(request)
        except ConnectionError:  # the client has gone meanwhile
            return web.Response()
        connection = ClientConnection(request, socket, names, self._faults, combined=combined)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            self._usage.protocol_violations += connection.was_violated
        return socket
