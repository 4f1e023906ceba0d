"""TCP links to the servers: they can be cut, frozen and delayed, and can drop replies.

A link to Kafka parses requests, so that a fault can strike a request of a given kind.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Self

HOST: Final = "127.0.0.1"
# Kafka's API keys of the requests of a transaction, in their order
ADD_OFFSETS: Final = 25
TXN_OFFSET_COMMIT: Final = 28
END_TXN: Final = 26
_CHUNK: Final = 64 * 1024
_FREEZE_POLL_S: Final = 0.02
_LINGER_S: Final = 1.0  # time for the server to process a request whose sender is gone
_MAX_HELD_S: Final = 5.0
_LEAD_S: Final = 0.05  # a late request is sent this long before the one that released it


@dataclass(frozen=True, slots=True)
class Trouble:
    """A disturbance of a link; none by default."""

    frozen: bool = False  # half-open: no byte passes in either direction
    drops_replies: bool = False  # requests arrive, replies do not
    delay_s: float = 0.0  # of replies
    refused: bool = False  # new connections are closed at once


@dataclass(frozen=True, slots=True)
class Trap:
    """Cuts or freezes a link at the next request of a kind."""

    api_key: int
    # before: the request is lost; after: its reply is lost; late: it arrives later, on a dead
    # connection; freeze: the link freezes before it
    moment: Literal["before", "after", "late", "freeze"]
    released_by: int | None = None  # API key: a late request is sent just before the next of these


class HeldRequest:
    """A request that is held back until one of another kind comes, or for a limited time."""

    def __init__(self, released_by: int) -> None:
        self.released_by = released_by
        self.released = asyncio.Event()


class Link:
    """One port in front of another."""

    def __init__(self, target_port: int, *, kafka: bool) -> None:
        self.trouble = Trouble()
        self.trap: Trap | None = None
        self.traps_sprung = 0
        self.released = 0  # late requests that were sent
        self._held: HeldRequest | None = None
        self._target_port, self._kafka = target_port, kafka
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        for connection in list(self._connections):
            connection.cut()

    async def open(self, port: int) -> None:
        self._server = await asyncio.start_server(self._connected, HOST, port)

    def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.trouble.refused:
            writer.transport.abort()
            return
        try:
            server = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(writer, server[1])
        self._connections.add(connection)
        flows = [
            asyncio.create_task(self._forward_requests(reader, connection)),
            asyncio.create_task(self._forward_replies(server[0], connection)),
        ]
        try:
            await asyncio.wait(flows, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for flow in flows:
                flow.cancel()
            await asyncio.gather(*flows, return_exceptions=True)
            self._connections.discard(connection)
            await connection.ended()

    async def _forward_requests(
        self, reader: asyncio.StreamReader, connection: "_Connection"
    ) -> None:
        while data := await self._next_request(reader):
            if self._kafka and await self._intercept(
                int.from_bytes(data[4:6], "big"), data, connection
            ):
                return
            while self.trouble.frozen:
                await asyncio.sleep(_FREEZE_POLL_S)
            connection.server.write(data)
            await connection.server.drain()

    async def _intercept(self, api_key: int, request: bytes, connection: "_Connection") -> bool:
        """Release a late request, or spring the trap; return True if this request was cut off."""
        if self._held is not None and api_key == self._held.released_by:
            self._held.released.set()
            self._held, self.released = None, self.released + 1
            await asyncio.sleep(_LEAD_S)
        trap = self.trap
        if trap is None or api_key != trap.api_key:
            return False
        self.trap, self.traps_sprung = None, self.traps_sprung + 1
        if trap.moment == "freeze":
            self.trouble = Trouble(frozen=True)
            return False
        if trap.moment == "late":
            assert trap.released_by is not None
            self._held = HeldRequest(trap.released_by)
            connection.deliver_orphaned(request, self._held)
        elif trap.moment == "after":
            connection.deliver_orphaned(request)
        connection.cut()
        return True

    async def _next_request(self, reader: asyncio.StreamReader) -> bytes:
        if not self._kafka:
            return await reader.read(_CHUNK)
        try:
            size = await reader.readexactly(4)
            return size + await reader.readexactly(int.from_bytes(size, "big"))
        except asyncio.IncompleteReadError:
            return b""

    async def _forward_replies(
        self, reader: asyncio.StreamReader, connection: "_Connection"
    ) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while data := await reader.read(_CHUNK):
            while self.trouble.frozen:
                await asyncio.sleep(_FREEZE_POLL_S)
            if self.trouble.drops_replies:
                continue
            # Replies stay in order, also when a delay ends.
            due = max(due + 1e-6, loop.time() + self.trouble.delay_s)
            loop.call_at(due, connection.reply, data)


class _Connection:
    """Both ends of one connection."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self._orphaned: asyncio.Task[None] | None = None

    def reply(self, data: bytes) -> None:
        if not self.client.is_closing():
            self.client.write(data)

    def cut(self) -> None:
        self.client.transport.abort()
        if self._orphaned is None:
            self.server.transport.abort()

    def deliver_orphaned(self, request: bytes, late: HeldRequest | None = None) -> None:
        """Send a request to the server although its client is gone: now, or late."""
        self._orphaned = asyncio.create_task(self._deliver(request, late))

    async def ended(self) -> None:
        if self._orphaned is not None:
            await self._orphaned
            self._orphaned = None
        self.cut()
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                await end.wait_closed()

    async def _deliver(self, request: bytes, late: HeldRequest | None) -> None:
        with contextlib.suppress(OSError):
            if late is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(late.released.wait(), _MAX_HELD_S)
            self.server.write(request)
            await self.server.drain()
            await asyncio.sleep(_LINGER_S)


class Links:
    """Links, served by their own thread."""

    def __init__(self) -> None:
        self._links: list[Link] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._closed(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def link(self, target_port: int, *, kafka: bool = False, port: int = 0) -> Link:
        link = Link(target_port, kafka=kafka)
        asyncio.run_coroutine_threadsafe(link.open(port), self._loop).result(10)
        self._links.append(link)
        return link

    def run_in_thread(self, action: Callable[[], None]) -> None:
        """Call something in the thread that serves the links."""
        self._loop.call_soon_threadsafe(action)

    async def _closed(self) -> None:
        for link in self._links:
            link.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
