"""Keeps a stream connected: the client never reconnects by itself, and may not even notice that it is cut off."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from services.producer.event_queue import EventQueue, StreamConnected, StreamDisconnected
from services.producer.exchanges.binance.client import StreamClient, Throttled
from services.producer.exchanges.binance.schemas import (
    ClosedKline,
    ServerShutdown,
    SubscriptionAck,
    stream_event,
)
from services.producer.server_time import ServerTime
from shared.adapters.retry import Backoff
from shared.core.errors import UlstmError, Unavailable

log = logging.getLogger("ulstm")

LOOK_S: Final = 0.2
ACKNOWLEDGED_S: Final = 10.0
LONGEST_LIFE_S: Final = (
    23 * 3600.0
)  # the exchange ends a connection after 24 h, at a time of its choosing

Connect = Callable[[Callable[[str], None], Callable[[Exception], None]], StreamClient]


class StreamSupervisor:
    """A thread that connects, subscribes, watches, and begins again."""

    def __init__(  # noqa: PLR0913 - the parts list
        self,
        connect: Connect,
        symbols: Sequence[str],
        interval: str,
        silence_s: float,
        inbox: EventQueue,
        exchange_time: ServerTime,
        stop: threading.Event,
    ) -> None:
        """Prepare; `start` connects."""
        self._connect, self._symbols, self._interval = connect, symbols, interval
        self._silence_s, self._inbox, self._time, self._stop = silence_s, inbox, exchange_time, stop
        self._life = _Life()
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self.connected = False
        self.reconnects = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the end, once stop is set."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            waits = Backoff()
            while not self._stop.is_set():
                wait_s, why = self._lived(waits)
                self.connected = False
                if self._stop.is_set():
                    return
                if self._life.texts:
                    waits = Backoff()
                log.warning("stream: %s; connecting again in %.1f s", why, wait_s)
                self.reconnects += 1
                self._stop.wait(wait_s)
        except UlstmError as error:
            self._inbox.put(StreamDisconnected(error))
        except BaseException as error:
            self._inbox.put(StreamDisconnected(error))
            raise

    def _lived(self, waits: Backoff) -> tuple[float, str]:
        """Live one connection; return how long to wait for the next, and why this one ended."""
        self._life = life = _Life()
        try:
            stream = self._connect(lambda text: self._heard(life, text), life.on_error)
        except Throttled as error:
            return error.retry_after_s, str(error)
        except Unavailable as error:
            return waits.next_s(), str(error)
        try:
            return waits.next_s(), self._watched(stream, life)
        except Unavailable as error:
            return waits.next_s(), str(error)
        finally:
            stream.stop()

    def _watched(self, stream: StreamClient, life: "_Life") -> str:
        """Subscribe and watch; return why the connection has to end."""
        life.awaited = stream.subscribe(self._symbols, self._interval, self._stop.wait)
        while not self._stop.is_set():
            why = (
                life.over()
                or self._grown_old(life)
                or (None if stream.is_alive else "the connection was lost")
            )
            if why is not None:
                return why
            if not self.connected and life.awaited <= life.acknowledged:
                self.connected = True
                self._inbox.put(StreamConnected())
            self._stop.wait(LOOK_S)
        return "stopping"

    def _grown_old(self, life: "_Life") -> str | None:
        now = time.monotonic()
        if now - life.last_text_s > self._silence_s:
            return f"silent for {self._silence_s:g} s"
        if not self.connected and now - life.began_s > ACKNOWLEDGED_S + len(life.awaited):
            return f"a subscription was not acknowledged for {ACKNOWLEDGED_S:g} s"
        return "old; the exchange would end it" if now - life.began_s > LONGEST_LIFE_S else None

    def _heard(self, life: "_Life", text: str) -> None:
        """Take a text, on the connection's own thread."""
        life.texts, life.last_text_s = life.texts + 1, time.monotonic()
        event = stream_event(text, self._interval, time.time_ns() // 1_000_000)
        if isinstance(event, SubscriptionAck):
            life.acknowledged.add(event.request_id)
        elif isinstance(event, ServerShutdown):
            life.ending = event.why
        else:
            if event.event_ms is not None:
                self._time.on_message(event.event_ms)
            if isinstance(event, ClosedKline) and not self._inbox.offer(event.kline):
                life.ending = (
                    "more klines closed than there is room for; REST gives what is left out"
                )


class _Life:
    """What one connection has been through."""

    def __init__(self) -> None:
        self.began_s = self.last_text_s = time.monotonic()
        self.texts = 0
        self.awaited: set[int] = set()
        self.acknowledged: set[int] = set()
        self.ending: str | None = None

    def on_error(self, error: Exception) -> None:
        self.ending = f"{type(error).__name__}: {error}"

    def over(self) -> str | None:
        return self.ending
