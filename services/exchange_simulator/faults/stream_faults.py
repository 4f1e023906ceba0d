"""Faults of the streams, between the honest events and the connections."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

from aiohttp import web

from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.connection import ClientConnection
from services.exchange_simulator.faults.kline_changes import (
    EVENT_CHANGES,
    Event,
    dumps,
    with_kline,
)
from services.exchange_simulator.faults.plan import FaultPlan
from services.exchange_simulator.faults.rest_wire import refusal, stall
from services.exchange_simulator.limits import RequestRefused

CHECK_EVERY_S: Final = 0.05
EARLY_MS: Final = 1000  # an early close is early also where the push is late
SPACED: Final = ("kline-twice", "kline-provisional")  # the second comes `seconds` later
MAX_SUBSCRIBE_BYTES: Final = 4096  # of a server that ignores longer ones


class StreamFaults:
    """Refuses handshakes and subscriptions, changes events, ends connections, as a plan says."""

    def __init__(self, plan: FaultPlan, clock: AcceleratedClock) -> None:
        """Store the parts."""
        self._plan, self._clock = plan, clock

    async def refuse_handshake(self, request: web.Request) -> web.Response | None:
        """Return the refusal of a handshake; None if it is accepted."""
        if fault := self._plan.find("stream-stalled-handshake"):
            return await stall(request, fault)
        fault = self._plan.find("stream-refusal")
        return None if fault is None else refusal(fault)

    def on_subscribe(self, text: str, streams: Sequence[str]) -> float | None:
        """Return the seconds by which an acknowledgement is late; None: it is never sent.

        Raises:
            RequestRefused: the message is refused.
        """
        symbols = [stream.partition("@")[0].upper() for stream in streams]
        for symbol in symbols:
            if self._plan.find("subscribe-refused", symbol):
                raise RequestRefused(2, "Invalid request: invalid stream name")
            if self._plan.find("subscribe-ignored", symbol):
                return None
        fault = self._plan.find("subscribe-too-long")
        if fault is not None and len(text.encode()) > (fault.count or MAX_SUBSCRIBE_BYTES):
            return None
        fault = self._plan.find("subscribe-slow")
        return 0.0 if fault is None else fault.seconds

    def on_subscribed(self) -> None:
        """Begin to number the candles, if the script says so."""
        self._plan.set_origin(self._clock.now_ms())

    def change(self, event: Event) -> list[tuple[float, Event]]:
        """Return the events to send instead of one, each with its delay in real seconds."""
        symbol, plan = event["s"], self._plan
        if plan.find("kline-silent", symbol):
            return []
        if fault := plan.find("kline-event-ahead", symbol):
            event = {**event, "E": event["E"] + int(fault.seconds * 1000)}
        kline = event["k"]
        if not kline["x"]:
            fault = plan.find("kline-early-close", symbol)
            if fault is not None and kline["T"] - event["E"] <= fault.seconds * 1000:
                early_ms = min(event["E"], kline["T"] - EARLY_MS)
                event = with_kline({**event, "E": early_ms}, x=True)
            return [(0.0, event)]
        return self._change_close(event)

    def _change_close(self, event: Event) -> list[tuple[float, Event]]:
        symbol, events, spacing_s = event["s"], [event], 0.0
        for kind, change in EVENT_CHANGES.items():
            if events and (fault := self._plan.find(kind, symbol)):
                events = change(events[0], fault)
                spacing_s = fault.seconds if kind in SPACED else 0.0
        fault = self._plan.find("kline-late", symbol)
        late_s = 0.0 if fault is None else fault.seconds
        return [(late_s + number * spacing_s, each) for number, each in enumerate(events)]

    async def run(self, connections: Collection[ClientConnection]) -> None:
        """Disturb connections until cancelled."""
        while True:
            for connection in list(connections):
                self._disturb(connection)
            await asyncio.sleep(CHECK_EVERY_S)

    def _disturb(self, connection: ClientConnection) -> None:
        plan = self._plan
        connection.is_silent = plan.find("stream-silence") is not None
        flap = plan.find("stream-flap")
        has_flapped = flap is not None and connection.age_s >= flap.seconds
        if has_flapped or plan.find("stream-drop", once_for=connection):
            connection.abort()
        if fault := plan.find("stream-shutdown", once_for=connection):
            payload = dumps({"e": "serverShutdown", "E": self._clock.now_ms()})
            connection.push("!serverShutdown", payload)
            asyncio.get_running_loop().call_later(fault.seconds, connection.abort)
        if fault := plan.find("stream-garbage", once_for=connection):
            for _ in range(1 if fault.count is None else fault.count):
                connection.send_text("{" if fault.value is None else str(fault.value))
        if fault := plan.find("stream-large", once_for=connection):
            connection.send_text(f'{{"e":"note","text":"{"x" * (fault.count or 2_000_000)}"}}')
