"""The addresses of the live page. All of them read; none of them changes anything."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from services.dashboard.ports import ClusterSource, HistorySource, Json, ModelsSource
from services.dashboard.web.assets import STYLE_NONCE, Asset, Assets
from services.dashboard.web.event_hub import MAX_BROWSERS, EventHub, Subscription
from services.dashboard.web.headers import is_allowed_host, security_headers
from services.dashboard.web.page_state import PageState
from services.dashboard.web.symbol_followers import SymbolFollowers
from shared.adapters.schemas.wire import dump_plain
from shared.core.errors import BadInput, UlstmError, Unknown
from shared.core.symbols import is_symbol

log = logging.getLogger(__name__)

MAX_CANDLES: Final = 20_000
DEFAULT_CANDLES: Final = 288
WRITE_S: Final = 30.0  # a browser that takes nothing for so long is let go
PAGES: Final = ("/", "/symbols/{symbol}", "/models", "/health")

_LAST_MS: Final = 253_402_300_799_999
_NEVER_KEPT: Final = {"Cache-Control": "no-store"}
_ALWAYS_ASKED: Final = {"Cache-Control": "no-cache"}
_KEPT_FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the routes read from."""

    assets: Assets
    state: PageState
    hub: EventHub
    history: HistorySource
    models: ModelsSource
    cluster: ClusterSource
    followers: SymbolFollowers
    threads: Executor  # that read the log for browsers
    count_sent: Callable[[int], None]  # takes the size of each event that a browser was sent


class Routes:
    """Answers requests."""

    def __init__(self, rooms: Rooms) -> None:
        """Take what to read from."""
        self._rooms = rooms

    def table(self) -> list[web.RouteDef]:
        """Return the routes; HEAD is allowed wherever GET is."""
        pages = [web.get(path, self._page) for path in PAGES]
        return [
            *pages,
            web.get("/assets/{path:.+}", self._asset),
            web.get("/api/overview", self._overview),
            web.get("/api/events", self._events, allow_head=False),
            web.get("/api/symbols/{symbol}", self._symbol),
            web.get("/api/models", self._models),
            web.get("/api/health", self._health),
        ]

    async def _page(self, _: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe(16)
        html = self._rooms.assets.index().replace(STYLE_NONCE, nonce)
        headers = {**security_headers(nonce), **_NEVER_KEPT}
        return web.Response(text=html, content_type="text/html", headers=headers)

    async def _asset(self, request: web.Request) -> web.Response:
        asset = self._rooms.assets.find(request.match_info["path"])
        if asset is None:
            return error_response(404, f"there is no {request.path}")
        return _asset_response(request, asset)

    async def _overview(self, _: web.Request) -> web.Response:
        return json_response(await self._rooms.state.overview())

    async def _events(self, request: web.Request) -> web.StreamResponse:
        hub, symbol = self._rooms.hub, request.query.get("symbol")
        if hub.is_full:
            text = f"{MAX_BROWSERS} browsers are connected already; close one of them"
            return error_response(503, text)
        if symbol is not None and not is_symbol(symbol):
            return error_response(404, f"{symbol[:80]!r} is no symbol")
        subscription = hub.subscribe(symbol)
        if symbol is not None:
            self._rooms.followers.open(symbol)
        try:
            return await _send_events(request, subscription, self._rooms.count_sent)
        finally:
            hub.unsubscribe(subscription)

    async def _symbol(self, request: web.Request) -> web.Response:
        symbol, query = request.match_info["symbol"], request.query
        candles = _parse_number(query.get("candles", str(DEFAULT_CANDLES)), 1, MAX_CANDLES)
        before = query.get("before_ms")
        before_ms = None if before is None else _parse_number(before, 0, _LAST_MS)
        if candles is None or (before is not None and before_ms is None):
            text = f"candles is 1 to {MAX_CANDLES}, before_ms an open time in ms"
            return error_response(400, text)
        if not is_symbol(symbol):
            return error_response(404, f"{symbol[:80]!r} is no symbol")
        return await self._read(partial(self._rooms.history.read, symbol, candles, before_ms))

    async def _models(self, _: web.Request) -> web.Response:
        return await self._read(self._rooms.models.page)

    async def _health(self, _: web.Request) -> web.Response:
        return await self._read(self._rooms.cluster.page)

    async def _read(self, read: Callable[[], Json]) -> web.Response:
        """Answer with what a reader returns; it may take its time on a thread."""
        loop = asyncio.get_running_loop()
        try:
            body = await loop.run_in_executor(self._rooms.threads, _encoded, read)
        except Unknown as error:
            return error_response(404, str(error))
        except BadInput as error:
            return error_response(400, str(error))
        except UlstmError as error:
            return error_response(503, str(error))
        return json_response(body)


def confine(allowed_hosts: frozenset[str]) -> Middleware:
    """Return the middleware that refuses foreign names of this host and adds the headers."""

    @web.middleware
    async def confined(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_allowed_host(request.headers.get("Host", ""), allowed_hosts):
            host = request.headers.get("Host", "")[:80]
            text = f"this page does not go by the name {host!r}: see DASHBOARD_ALLOWED_HOSTS"
            return error_response(421, text)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = error_response(error.status, error.reason)
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
        return response

    return confined


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add the security headers to an answer, except those that it has already."""
    for name, value in security_headers().items():
        response.headers.setdefault(name, value)


def error_response(status: int, text: str) -> web.Response:
    """Return an error as JSON, in words."""
    body = dump_plain({"error": text})
    return web.Response(
        status=status, body=body, content_type="application/json", headers=_NEVER_KEPT
    )


def json_response(body: bytes) -> web.Response:
    """Return encoded JSON."""
    return web.Response(body=body, content_type="application/json", headers=_NEVER_KEPT)


def _asset_response(request: web.Request, asset: Asset) -> web.Response:
    caching = _KEPT_FOR_EVER if asset.is_immutable else _ALWAYS_ASKED
    headers = {**caching, "ETag": f'"{asset.etag}"'}
    known = request.if_none_match or ()
    if any(tag.value == asset.etag for tag in known):
        return web.Response(status=304, headers=headers)
    return web.Response(
        body=asset.body, content_type=asset.content_type, charset="utf-8", headers=headers
    )


async def _send_events(
    request: web.Request, subscription: Subscription, count_sent: Callable[[int], None]
) -> web.StreamResponse:
    """Send events until the browser goes, takes nothing for long, or the server ends."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", **_NEVER_KEPT}
    )
    await response.prepare(request)
    await response.write(b"retry: 1000\n\n")
    while (event := await subscription.next()) is not None:
        try:
            await asyncio.wait_for(response.write(event), WRITE_S)
        except (ConnectionError, TimeoutError):
            break
        count_sent(len(event))
    return response


def _encoded(read: Callable[[], Json]) -> bytes:
    return dump_plain(read())


def _parse_number(text: str, lowest: int, highest: int) -> int | None:
    """Return a number within bounds; None for any other text."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(highest))):
        return None
    return int(text) if lowest <= int(text) <= highest else None
