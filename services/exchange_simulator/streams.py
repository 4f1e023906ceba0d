"""The stream side: who listens, and what is pushed to them when."""

import asyncio
import json
import time
from typing import Final

from aiohttp import web

from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.connection import MAX_MESSAGE_BYTES, MAX_STREAMS, Connection
from services.exchange_simulator.faults import Faults
from services.exchange_simulator.kline import event, partial
from services.exchange_simulator.view import View, push_times_ms

PUSH_EVERY_MS: Final = 2000  # of exchange time
PUSH_EVERY_S: Final = 0.25  # of real time, at the least: more would only heat the machine
FAREWELL_S: Final = 2.0


class Streams:
    """Pushes every candle to those who subscribed to it: while it is open, and once when it has closed."""

    def __init__(self, view: View, clock: AcceleratedClock, faults: Faults) -> None:
        """Start with nobody listening."""
        self._view = view
        self._clock = clock
        self._faults = faults
        self._connections: set[Connection] = set()
        self._stream_symbols = {
            f"{symbol.lower()}@kline_{view.interval}": symbol for symbol in view.market.symbols
        }
        self._step_ms = max(PUSH_EVERY_MS, int(PUSH_EVERY_S * 1000 * clock.speed))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of both forms, with and without streams in the address."""
        return [
            web.get("/ws", self._plain),
            web.get("/ws/{streams:.+}", self._plain),
            web.get("/stream", self._combined),
        ]

    async def run(self) -> None:
        """Push candles as exchange time passes, until the market ends."""
        step = self._view.interval_ms
        open_ms = self._now_ms() // step * step
        while not self._view.has_ended(open_ms):
            await self._run_candle(open_ms)
            open_ms += step

    async def close(self) -> None:
        """Announce the shutdown to all and close their connections."""
        payload = json.dumps({"e": "serverShutdown", "E": self._now_ms()})
        farewells = [
            asyncio.create_task(each.close("!serverShutdown", payload))
            for each in self._connections
        ]
        if farewells:
            await asyncio.wait(farewells, timeout=FAREWELL_S)
        for connection in self._connections:
            connection.cut()

    async def _run_candle(self, open_ms: int) -> None:
        closes_ms = open_ms + self._view.interval_ms
        pushed = False
        for push_ms in push_times_ms(open_ms, self._view.interval_ms, self._step_ms):
            # late pushes are left out, but one comes before the close
            if not pushed or self._now_ms() < push_ms + self._step_ms:
                await self._until(push_ms)
                self._push_all(open_ms, push_ms)
                pushed = True
        await self._until(closes_ms)
        self._push_all(open_ms, closes_ms)

    async def _until(self, time_ms: int) -> None:
        await asyncio.sleep(max(0.0, self._clock.seconds_until(time_ms, time.monotonic())))

    def _push_all(self, open_ms: int, at_ms: int) -> None:
        followed = {stream for connection in self._connections for stream in connection.streams}
        for stream in sorted(followed & self._stream_symbols.keys()):
            if (payload := self._payload(stream, open_ms, at_ms)) is not None:
                self._push(stream, payload)

    def _payload(self, stream: str, open_ms: int, at_ms: int) -> str | None:
        row = self._view.final(self._stream_symbols[stream], open_ms)
        if row is None:
            return None
        progress = (at_ms - open_ms) / self._view.interval_ms
        shown = row if progress >= 1 else partial(row, progress)
        event_ms = max(at_ms, self._now_ms())
        kline = event(
            shown, self._view.interval, self._view.interval_ms, event_ms, closed=progress >= 1
        )
        return json.dumps(kline, separators=(",", ":"))

    def _push(self, stream: str, payload: str) -> None:
        for connection in [listener for listener in self._connections if listener.follows(stream)]:
            payloads = self._faults.on_push(stream, payload)
            if payloads is None:
                connection.cut()
            else:
                for each in payloads:
                    connection.push(stream, each)

    def _now_ms(self) -> int:
        return self._clock.time_ms(time.monotonic())

    async def _plain(self, request: web.Request) -> web.StreamResponse:
        streams = request.match_info.get("streams", "")
        return await self._accept(request, streams, combined=False)

    async def _combined(self, request: web.Request) -> web.StreamResponse:
        return await self._accept(request, request.query.get("streams", ""), combined=True)

    async def _accept(
        self, request: web.Request, streams: str, *, combined: bool
    ) -> web.StreamResponse:
        if (fault := await self._faults.on_accept(request)) is not None:
            return fault
        names = [name for name in streams.split("/") if name][:MAX_STREAMS]
        socket = web.WebSocketResponse(autoping=False, max_msg_size=MAX_MESSAGE_BYTES)
        await socket.prepare(request)
        connection = Connection(request, socket, names, combined=combined)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
        return socket
