"""Faults of REST, between the honest response and the wire: an aiohttp middleware."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.faults.kinds import REST_ANSWERS
from services.exchange_simulator.faults.kline_changes import (
    CLOSE,
    CLOSE_TIME,
    OPEN_TIME,
    PAGE_CHANGES,
    Row,
    dumps,
    provisional_row,
)
from services.exchange_simulator.faults.plan import FaultPlan
from services.exchange_simulator.faults.rest_wire import ANSWERS, REPLACING
from services.exchange_simulator.faults.script import ScriptedFault
from services.exchange_simulator.usage import Usage

PREFIX: Final = "/api/v3/"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RestFaults:
    """Changes, delays, cuts or replaces responses as a plan says."""

    def __init__(
        self, plan: FaultPlan, clock: AcceleratedClock, weights: Mapping[str, int], usage: Usage
    ) -> None:
        """Store the parts.

        Args:
            plan: says which faults are in force.
            clock: the exchange's.
            weights: request weight by endpoint, to count what replaced responses cost.
            usage: counts requests and refusals.
        """
        self._plan, self._clock, self._weights, self._usage = plan, clock, weights, usage
        self._changes: dict[str, Callable[[Any, str], Any]] = {
            "klines": self._change_rows,
            "exchangeInfo": self._change_info,
            "time": self._change_time,
        }

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer one request."""
        endpoint = request.path.removeprefix(PREFIX)
        if endpoint not in self._weights:
            return await handler(request)
        self._usage.count_request(endpoint, self._weights[endpoint])
        response = await self._answer(request, handler, endpoint)
        if response.status >= 400:
            self._usage.refusals[response.status] += 1
        return response

    async def _answer(
        self, request: web.Request, handler: Handler, endpoint: str
    ) -> web.StreamResponse:
        symbol = request.query.get("symbol", "")
        # 1. Wait, or answer something else.
        for kind in REST_ANSWERS:
            if fault := self._plan.find(kind, symbol, endpoint):
                wire = ANSWERS[kind]
                honest = None if kind in REPLACING else await self._honest(request, handler)
                return await wire(request, fault, honest)
        # 2. Answer honestly, but for what a cache or a fault makes of it.
        return await self._honest(request, handler)

    async def _honest(self, request: web.Request, handler: Handler) -> web.Response:
        endpoint, symbol = request.path.removeprefix(PREFIX), request.query.get("symbol", "")
        if endpoint == "klines":
            request = self._change_request(request, symbol)
        response = await handler(request)
        assert isinstance(response, web.Response)
        change = self._changes.get(endpoint)
        if response.status == 200 and change is not None:
            before = json.loads(response.text or "null")
            after = change(before, symbol)
            if after is not before:
                response.text = dumps(after)
        return response

    def _change_request(self, request: web.Request, symbol: str) -> web.Request:
        """Return the request that a cache would answer instead."""
        changed = query = dict(request.query)
        if self._plan.find("rows-start-ignored", symbol):
            changed = {name: text for name, text in changed.items() if name != "startTime"}
        if fault := self._plan.find("rows-stale", symbol):
            end_ms = self._clock.now_ms() - int(fault.seconds * 1000)
            end_ms = min(end_ms, int(query.get("endTime", end_ms)))
            changed = {**changed, "endTime": str(end_ms)}
        if changed is query:
            return request
        return request.clone(rel_url=request.rel_url.with_query(changed))

    def _change_rows(self, rows: list[Row], symbol: str) -> list[Row]:
        if fault := self._plan.find("rows-provisional", symbol):
            rows = self._provisional(rows, fault)
        if fault := self._plan.find("rows-missing", symbol):
            rows = self._without(rows, fault)
        if fault := self._plan.find("rows-unreadable", symbol):
            rows = self._unreadable(rows, fault)
        for kind, change in PAGE_CHANGES.items():
            if rows and (fault := self._plan.find(kind, symbol)):
                rows = change(rows, fault)
        return rows

    def _provisional(self, rows: list[Row], fault: ScriptedFault) -> list[Row]:
        unsettled_ms = self._clock.now_ms() - int(fault.seconds * 1000)
        return [provisional_row(row) if row[CLOSE_TIME] >= unsettled_ms else row for row in rows]

    def _without(self, rows: list[Row], fault: ScriptedFault) -> list[Row]:
        if fault.count is not None:
            return rows[: max(0, len(rows) - fault.count)]
        first_ms, until_ms = self._plan.open_times_ms(fault)
        return [row for row in rows if not first_ms <= row[OPEN_TIME] < until_ms]

    def _unreadable(self, rows: list[Row], fault: ScriptedFault) -> list[Row]:
        first_ms, until_ms = self._plan.open_times_ms(fault)
        text = "NaN" if fault.value is None else fault.value
        return [
            [*row[:CLOSE], text, *row[CLOSE + 1 :]]
            if first_ms <= row[OPEN_TIME] < until_ms
            else row
            for row in rows
        ]

    def _change_info(self, info: dict[str, Any], _: str) -> dict[str, Any]:
        if self._plan.find("info-empty"):
            info = {**info, "symbols": []}
        if fault := self._plan.find("info-missing"):
            left = [each for each in info["symbols"] if each["symbol"] not in fault.symbols]
            info = {**info, "symbols": left[: len(left) - (fault.count or 0)]}
        if fault := self._plan.find("info-limits"):
            info = {**info, "rateLimits": fault.value}
        return info

    def _change_time(self, body: dict[str, Any], _: str) -> dict[str, Any]:
        fault = self._plan.find("time-ahead")
        if fault is None:
            return body
        return {"serverTime": body["serverTime"] + int(fault.seconds * 1000)}
