"""Faults on the wire of REST: answers that come late, slowly, cut, or are something else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from services.exchange_simulator.faults.kinds import REST_ANSWERS
from services.exchange_simulator.faults.kline_changes import dumps
from services.exchange_simulator.faults.script import ScriptedFault

STALL_S: Final = 3600.0
THROTTLED: Final = (418, 429)
Honest = web.Response | None


def _abort(request: web.Request) -> web.Response:
    """Lose the connection; the response is never written."""
    if isinstance(request.transport, asyncio.Transport):
        request.transport.abort()
    return web.Response(status=299)


async def _down(request: web.Request, _: ScriptedFault, __: Honest) -> web.Response:
    return _abort(request)


async def stall(request: web.Request, _: ScriptedFault, __: Honest = None) -> web.Response:
    """Keep a connection open without an answer for as long as the client does."""
    await _sleep(request, STALL_S)
    return _abort(request)


async def _delay(request: web.Request, fault: ScriptedFault, honest: Honest) -> web.Response:
    await _sleep(request, fault.seconds)
    assert honest is not None
    return honest


async def _sleep(request: web.Request, seconds: float) -> None:
    """Sleep no longer than the client's connection lives."""
    end_s = asyncio.get_running_loop().time() + seconds
    while (left_s := end_s - asyncio.get_running_loop().time()) > 0:
        if request.transport is None or request.transport.is_closing():
            return
        await asyncio.sleep(min(left_s, 0.1))


async def _trickle(request: web.Request, fault: ScriptedFault, honest: Honest) -> web.Response:
    assert honest is not None
    body = (honest.text or "").encode()
    return await _write_slowly(request, _head(honest, len(body)), body, fault.seconds)


async def _trickle_headers(
    request: web.Request, fault: ScriptedFault, honest: Honest
) -> web.Response:
    assert honest is not None
    body = (honest.text or "").encode()
    return await _write_slowly(request, b"", _head(honest, len(body)) + body, fault.seconds)


async def _cut(request: web.Request, _: ScriptedFault, honest: Honest) -> web.Response:
    assert honest is not None
    body = (honest.text or "").encode()
    return await _write_slowly(request, _head(honest, len(body)) + body[: len(body) // 2], b"", 0)


async def _write_slowly(
    request: web.Request, at_once: bytes, slowly: bytes, pause_s: float
) -> web.Response:
    transport = request.transport
    if isinstance(transport, asyncio.Transport) and not transport.is_closing():
        transport.write(at_once)
        for at in range(len(slowly)):
            if transport.is_closing():
                break
            transport.write(slowly[at : at + 1])
            await _sleep(request, pause_s)
        if not slowly:
            await asyncio.sleep(0.05)  # what was written leaves before the connection is lost
    return _abort(request)


def _head(honest: web.Response, length: int) -> bytes:
    lines = [f"{name}: {value}" for name, value in honest.headers.items()]
    lines += [f"Content-Length: {length}", "", ""]
    return "\r\n".join([f"HTTP/1.1 {honest.status} OK", *lines]).encode()


async def _refuse(_: web.Request, fault: ScriptedFault, __: Honest) -> web.StreamResponse:
    return refusal(fault)


def refusal(fault: ScriptedFault) -> web.Response:
    """Return the response of a fault that refuses."""
    headers = {} if fault.value is None else {"Retry-After": str(fault.value)}
    if fault.status in THROTTLED:
        body = {"code": -1003, "msg": "Too many requests; IP banned for a while."}
        return web.json_response(body, status=fault.status, headers=headers)
    if fault.status == 451:
        body = {"code": 0, "msg": "Service unavailable from a restricted location."}
        return web.json_response(body, status=451, headers=headers)
    page = "<html><body>Request blocked.</body></html>"
    return web.Response(text=page, content_type="text/html", status=fault.status, headers=headers)


async def _text(_: web.Request, fault: ScriptedFault, __: Honest) -> web.Response:
    text = "<html><body>Maintenance</body></html>" if fault.value is None else str(fault.value)
    return web.Response(text=text, content_type="text/html")


async def _json_value(_: web.Request, fault: ScriptedFault, __: Honest) -> web.Response:
    return _json_text(dumps(fault.value))


async def _deep(_: web.Request, fault: ScriptedFault, __: Honest) -> web.Response:
    depth = fault.count or 100_000
    return _json_text("[" * depth + "]" * depth)


async def _long_number(_: web.Request, fault: ScriptedFault, __: Honest) -> web.Response:
    return _json_text(f'{{"serverTime":{"9" * (fault.count or 5_000)}}}')


async def _huge(_: web.Request, fault: ScriptedFault, __: Honest) -> web.Response:
    return _json_text(f'["{"x" * (fault.count or 16_000_000)}"]')


def _json_text(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json")


Wire = Callable[[web.Request, ScriptedFault, Honest], Awaitable[web.StreamResponse]]
ANSWERS: Final[dict[str, Wire]] = {
    "rest-down": _down,
    "rest-delay": _delay,
    "rest-stall": stall,
    "rest-trickle": _trickle,
    "rest-trickle-headers": _trickle_headers,
    "rest-cut": _cut,
    "rest-refusal": _refuse,
    "rest-text": _text,
    "rest-answer": _json_value,
    "rest-deep": _deep,
    "rest-long-number": _long_number,
    "rest-huge": _huge,
}
REPLACING: Final = frozenset(REST_ANSWERS) - {
    "rest-delay", "rest-trickle", "rest-trickle-headers", "rest-cut",
}  # fmt: skip
