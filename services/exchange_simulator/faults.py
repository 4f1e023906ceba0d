"""Where the stand-in can be made to misbehave. It does not, by itself."""

from collections.abc import Sequence
from typing import Protocol

from aiohttp import web


class Faults(Protocol):
    """Asked before each answer and each push; whoever gives another one decides what goes wrong."""

    async def on_request(self, request: web.Request) -> web.StreamResponse | None:
        """Return what to answer to a REST request in place of the right answer, None for that."""

    async def on_accept(self, request: web.Request) -> web.StreamResponse | None:
        """Return what to answer to a stream connection in place of accepting it, None to accept."""

    def on_push(self, stream: str, payload: str) -> Sequence[str] | None:
        """Return the payloads to push in place of one; None breaks the connection off."""


class NoFaults:
    """All goes well."""

    async def on_request(self, request: web.Request) -> web.StreamResponse | None:
        """Answer rightly."""

    async def on_accept(self, request: web.Request) -> web.StreamResponse | None:
        """Accept."""

    def on_push(self, stream: str, payload: str) -> Sequence[str] | None:
        """Push as it is."""
        return (payload,)
