"""Keep a stream connected.

A stream client does not reconnect by itself and may not notice that it is cut off, so a thread of
its own watches it:

1. Connect. A refusal that names a time is waited out for exactly that time.
2. Subscribe, and count the stream as connected once every request is acknowledged: what closes from
   then on arrives.
3. Watch. The connection is over when it reports an error or a shutdown, when its reader has ended,
   when no message came for too long (a half-open TCP connection stays silent for ever), or shortly
   before the exchange would end it.
4. Stop it, wait with back-off, and begin again at 1. The worker requests from REST what closed in
   between.
"""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Final

from services.producer.event_queue import Inbox
from services.producer.events import StreamConnected, ThreadFailure
from services.producer.ports import (
    Exchange,
    ServerShutdown,
    StreamConnection,
    StreamEvent,
    SubscriptionAck,
    Throttled,
)
from services.producer.price_book import StreamInterrupted
from shared.adapters.retry import Backoff
from shared.core.errors import Unavailable

log = logging.getLogger(__name__)

CHECK_EVERY_S: Final = 0.2
ACK_TIMEOUT_S: Final = 10.0


class StreamSupervisor:
    """Connects, subscribes, watches and reconnects, on a thread of its own."""

    def __init__(
        self,
        exchange: Exchange,
        symbols: Sequence[str],
        silence_s: float,
        inbox: Inbox,
        stop: threading.Event,
    ) -> None:
        """Store the parts; `run` connects.

        Args:
            exchange: the exchange to connect to.
            symbols: the symbols to subscribe to.
            silence_s: seconds without a message after which a connection is replaced.
            inbox: takes closed klines, prices and the exchange's time.
            stop: ends `run`.
        """
        self._exchange, self._symbols, self._silence_s = exchange, tuple(symbols), silence_s
        self._price_only: tuple[str, ...] = ()
        self._inbox, self._stop = inbox, stop
        self.is_connected = False
        self.reconnects = 0

    def follow_prices(self, symbols: Sequence[str]) -> None:
        """Subscribe also to symbols whose prices are wanted, but not their candles."""
        self._price_only = tuple(symbols)

    def run(self) -> None:
        """Keep the stream connected until stop is set; an error goes to the event queue."""
        try:
            self._reconnect_until_stopped()
        except Exception as error:  # of any kind: the worker raises it, on the main thread
            self._inbox.events.put(ThreadFailure(error))

    def _reconnect_until_stopped(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            status = _ConnectionStatus()
            wait_s, reason = self._run_connection(status, backoff)
            self.is_connected = False
            self._inbox.prices.put(StreamInterrupted())
            if self._stop.is_set():
                return
            if status.messages:
                backoff = Backoff()
            log.warning("stream: %s; reconnecting in %.1f s", reason, wait_s)
            self.reconnects += 1
            self._stop.wait(wait_s)

    def _run_connection(self, status: "_ConnectionStatus", backoff: Backoff) -> tuple[float, str]:
        """Run one connection; return the seconds until the next, and why this one ended."""
        on_event = partial(self._on_event, status)
        try:
            with closing(self._exchange.open_stream(on_event, status.on_error)) as connection:
                return backoff.next_s(), self._watch(connection, status)
        except Throttled as error:
            return error.retry_after_s, str(error)
        except Unavailable as error:
            return backoff.next_s(), str(error)

    def _watch(self, connection: StreamConnection, status: "_ConnectionStatus") -> str:
        """Subscribe, then wait for the connection to end; return why it ended."""
        status.awaited_acks = self._subscribe(connection, status)
        while not self._stop.is_set():
            reason = status.end_reason or self._overdue(status)
            if reason is None and not connection.is_alive:
                reason = "the connection was lost"
            if reason is not None:
                return reason
            if not self.is_connected and status.awaited_acks <= status.acks:
                self.is_connected = True
                self._inbox.events.put(StreamConnected())
            elif self.is_connected:
                self._subscribe(connection, status)
            self._stop.wait(CHECK_EVERY_S)
        return "stopping"

    def _subscribe(self, connection: StreamConnection, status: "_ConnectionStatus") -> set[int]:
        """Subscribe to what this connection does not carry yet; return the acks to expect."""
        wanted = dict.fromkeys((*self._symbols, *self._price_only))
        missing = [symbol for symbol in wanted if symbol not in status.subscribed]
        status.subscribed.update(missing)
        return connection.subscribe(missing, self._stop.wait) if missing else set()

    def _overdue(self, status: "_ConnectionStatus") -> str | None:
        """Return which of the connection's time limits has passed, None if none has."""
        now_s = time.monotonic()
        age_s = now_s - status.started_s
        if now_s - status.last_message_s > self._silence_s:
            return f"no message for {self._silence_s:g} s"
        # One more second for each request: they are sent slowly.
        if not self.is_connected and age_s > ACK_TIMEOUT_S + len(status.awaited_acks):
            return f"a subscription was not acknowledged within {ACK_TIMEOUT_S:g} s"
        if age_s > self._exchange.max_connection_age_s:
            return "the connection is as old as the exchange allows"
        return None

    def _on_event(self, status: "_ConnectionStatus", event: StreamEvent) -> None:
        """Handle a message without blocking: the connection's thread also answers pings."""
        status.messages, status.last_message_s = status.messages + 1, time.monotonic()
        if isinstance(event, SubscriptionAck):
            status.acks.add(event.request_id)
        elif isinstance(event, ServerShutdown):
            status.end_reason = event.reason
        elif not self._inbox.take_update(event):
            # Reconnecting makes the worker request from REST what was dropped here.
            status.end_reason = "the event queue is full; REST will give what was dropped"


class _ConnectionStatus:
    """The progress of one connection, written by its thread, read by the supervisor's."""

    def __init__(self) -> None:
        self.started_s = self.last_message_s = time.monotonic()
        self.messages = 0
        self.awaited_acks: set[int] = set()
        self.acks: set[int] = set()
        self.subscribed: set[str] = set()
        self.end_reason: str | None = None

    def on_error(self, error: Exception) -> None:
        self.end_reason = f"{type(error).__name__}: {error}"
