"""TCP links through this process, each from a port of its own to a server's: cut, frozen, slowed, robbed of replies.

A link to Kafka knows where a request begins, so that a fault can hit the very request it is about.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Self

HOST: Final = "127.0.0.1"
# api keys of a transaction's requests, in their order
ADD_OFFSETS: Final = 25
TXN_OFFSET_COMMIT: Final = 28
END_TXN: Final = 26
_CHUNK: Final = 64 * 1024
_HELD_S: Final = 0.02
_LINGER_S: Final = 1.0  # so long a server may work on a request whose sender is gone
_LATEST_S: Final = 5.0
_LEAD_S: Final = 0.05  # of a late request before the one that it meets


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a link does to those who use it; nothing by default."""

    frozen: bool = False  # half-open: no byte passes either way, and nobody is told
    deaf: bool = False  # requests arrive, replies are lost
    delay_s: float = 0.0  # of replies
    refused: bool = False  # new connections are closed at once


@dataclass(frozen=True, slots=True)
class Trap:
    """Cuts or freezes a link at the next request of one kind."""

    api_key: int
    # the request is lost; its reply is lost; it arrives late, from nobody; the link freezes before it
    moment: Literal["before", "after", "late", "freeze"]
    meets: int | None = (
        None  # the kind of request that a late one gets in before, on any connection of the link
    )


class Late:
    """A request that was held back, until it meets one of another kind, or for too long."""

    def __init__(self, meets: int) -> None:
        self.meets = meets
        self.met = asyncio.Event()


class Link:
    """One port in front of another."""

    def __init__(self, target_port: int, *, kafka: bool) -> None:
        self.trouble = Trouble()
        self.trap: Trap | None = None
        self.sprung = 0  # traps that cut it
        self.met = 0  # late requests that got in before another
        self._late: Late | None = None
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
            asyncio.create_task(self._requests(reader, connection)),
            asyncio.create_task(self._replies(server[0], connection)),
        ]
        try:
            await asyncio.wait(flows, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for flow in flows:
                flow.cancel()
            await asyncio.gather(*flows, return_exceptions=True)
            self._connections.discard(connection)
            await connection.ended()

    async def _requests(self, reader: asyncio.StreamReader, connection: "_Connection") -> None:
        while data := await self._next_request(reader):
            if self._kafka and await self._meddled(
                int.from_bytes(data[4:6], "big"), data, connection
            ):
                return
            while self.trouble.frozen:
                await asyncio.sleep(_HELD_S)
            connection.server.write(data)
            await connection.server.drain()

    async def _meddled(self, api_key: int, request: bytes, connection: "_Connection") -> bool:
        """Let a late request in before this one, or cut this one off; return whether it was."""
        if self._late is not None and api_key == self._late.meets:
            self._late.met.set()
            self._late, self.met = None, self.met + 1
            await asyncio.sleep(_LEAD_S)
        trap = self.trap
        if trap is None or api_key != trap.api_key:
            return False
        self.trap, self.sprung = None, self.sprung + 1
        if trap.moment == "freeze":
            self.trouble = Trouble(frozen=True)
            return False
        if trap.moment == "late":
            assert trap.meets is not None
            self._late = Late(trap.meets)
            connection.leave(request, self._late)
        elif trap.moment == "after":
            connection.leave(request)
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

    async def _replies(self, reader: asyncio.StreamReader, connection: "_Connection") -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while data := await reader.read(_CHUNK):
            while self.trouble.frozen:
                await asyncio.sleep(_HELD_S)
            if self.trouble.deaf:
                continue
            due = max(
                due + 1e-6, loop.time() + self.trouble.delay_s
            )  # one after another, also when a delay ends
            loop.call_at(due, connection.reply, data)


class _Connection:
    """Both ends of one connection."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self._last_words: asyncio.Task[None] | None = None

    def reply(self, data: bytes) -> None:
        if not self.client.is_closing():
            self.client.write(data)

    def cut(self) -> None:
        self.client.transport.abort()
        if self._last_words is None:
            self.server.transport.abort()

    def leave(self, request: bytes, late: Late | None = None) -> None:
        """Give the server a request that nobody waits for any more: now, or late."""
        self._last_words = asyncio.create_task(self._say(request, late))

    async def ended(self) -> None:
        if self._last_words is not None:
            await self._last_words
            self._last_words = None
        self.cut()
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                await end.wait_closed()

    async def _say(self, request: bytes, late: Late | None) -> None:
        with contextlib.suppress(OSError):
            if late is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(late.met.wait(), _LATEST_S)
            self.server.write(request)
            await self.server.drain()
            await asyncio.sleep(_LINGER_S)


class Links:
    """Links, served by a thread of their own."""

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

    def do(self, act: Callable[[], None]) -> None:
        """Do something to a link in the thread that serves it."""
        self._loop.call_soon_threadsafe(act)

    async def _closed(self) -> None:
        for link in self._links:
            link.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
