"""Keep the stream connected, on a thread of its own.

No exchange keeps a connection for ever, and a client may not notice that it is cut off. So a thread
looks at every connection again and again (`StreamFleet.step`):

1. Connect, within the attempts that the exchange allows to an address.
2. Subscribe, message by message. With each acknowledgement the worker hears which symbols are
   carried from then on, and requests from REST what closed before.
3. Watch. A connection that grows old or silent, or whose end is announced, is replaced with an
   overlap; one that is lost is made anew, with back-off. The others go on.
"""

import threading
import time
from collections.abc import Collection, Iterable
from typing import Final

from services.producer.event_queue import Inbox
from services.producer.events import ThreadFailure
from services.producer.ports import StreamService
from services.producer.streams.fleet import StreamFleet
from services.producer.streams.status import StreamOptions, StreamStatus

CHECK_EVERY_S: Final = 0.1


class StreamSupervisor:
    """Runs the stream's connections; the symbols to carry may be changed from any thread."""

    def __init__(
        self,
        exchange: StreamService,
        symbols: Iterable[str],
        options: StreamOptions,
        inbox: Inbox,
        stop: threading.Event,
    ) -> None:
        """Store the parts; `run` connects.

        Args:
            exchange: the exchange to connect to.
            symbols: the symbols to subscribe to.
            options: the limit of silence, and the interval.
            inbox: takes closed klines, prices and the exchange's time.
            stop: ends `run`.
        """
        self._fleet = StreamFleet(exchange, options, inbox)
        self._events, self._stop = inbox.events, stop
        self._lock = threading.Lock()
        self._followed = dict.fromkeys(symbols)
        self._price_only: Collection[str] = ()
        self._is_changed = True
        self.status = StreamStatus()

    @property
    def is_connected(self) -> bool:
        """Whether most symbols are carried."""
        return self.status.is_connected

    def follow(self, symbols: Iterable[str]) -> None:
        """Subscribe also to these symbols."""
        with self._lock:
            self._followed |= dict.fromkeys(symbols)
            self._is_changed = True

    def unfollow(self, symbols: Iterable[str]) -> None:
        """Subscribe to these symbols no longer."""
        gone = set(symbols)
        with self._lock:
            self._followed = {each: None for each in self._followed if each not in gone}
            self._is_changed = True

    def follow_prices(self, symbols: Iterable[str]) -> None:
        """Subscribe also to symbols whose prices are wanted, but not their candles; no others."""
        with self._lock:
            self._price_only = tuple(symbols)
            self._is_changed = True

    def run(self) -> None:
        """Keep the stream connected until stop is set; an error goes to the event queue."""
        try:
            while not self._stop.is_set():
                self._step()
                self._stop.wait(CHECK_EVERY_S)
        except Exception as error:  # of any kind: the worker raises it, on the main thread
            self._events.put(ThreadFailure(error))
        finally:
            self._fleet.close(time.monotonic())

    def _step(self) -> None:
        if self._is_changed:
            with self._lock:
                wanted = dict.fromkeys((*self._followed, *self._price_only))
                self._is_changed = False
            self._fleet.want(wanted)
        self._fleet.step(time.monotonic())
        self.status = self._fleet.status
