"""Hooks that make the exchange simulator misbehave; by default it does not."""

from collections.abc import Sequence
from typing import Protocol

from aiohttp import web


class Faults(Protocol):
    """Called before each response and each push; an implementation decides what goes wrong."""

    async def on_request(self, request: web.Request) -> web.StreamResponse | None:
        """Return a response to a REST request, or None to send the right one."""

    async def on_accept(self, request: web.Request) -> web.StreamResponse | None:
        """Return a response that refuses a stream connection, or None to accept it."""

    def on_push(self, stream: str, payload: str) -> Sequence[str] | None:
        """Return the payloads to push in place of one, or None to abort the connection."""


class NoFaults:
    """No faults."""

    async def on_request(self, request: web.Request) -> web.StreamResponse | None:
        """Send the right response."""

    async def on_accept(self, request: web.Request) -> web.StreamResponse | None:
        """Accept the connection."""

    def on_push(self, stream: str, payload: str) -> Sequence[str] | None:
        """Push the payload unchanged."""
        return (payload,)
