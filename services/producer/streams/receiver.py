"""Take the messages of one connection, on its thread."""

import time
from collections import deque

from services.producer.backfill.sequencer import ReceivedCandle
from services.producer.event_queue import Inbox
from services.producer.ports import (
    ServerShutdown,
    StreamEvent,
    StreamUpdate,
    SubscriptionAck,
    SubscriptionRefused,
)
from services.producer.streams.status import StreamCounts

ServerResponse = SubscriptionAck | SubscriptionRefused | ServerShutdown


class HeardCloses:
    """The closes heard of each symbol: while two connections carry it, each comes twice.

    Only the very same message counts as heard: the exchange may correct a close. Threads share it
    without a lock; a close that slips through twice is dropped by the sequencer.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._newest: dict[str, tuple[int, bytes]] = {}

    def is_repeated(self, candle: ReceivedCandle, event_ms: int) -> bool:
        """Return whether a symbol's newest close came in a message of the same time before."""
        return self._newest.get(candle.symbol) == (event_ms, candle.value)

    def add(self, candle: ReceivedCandle, event_ms: int) -> None:
        """Store a close that was passed on."""
        self._newest[candle.symbol] = (event_ms, candle.value)


class StreamReceiver:
    """Passes closed klines and prices on without a wait; keeps the rest for the supervisor.

    Written by the connection's thread, read by the supervisor's.
    """

    def __init__(
        self, inbox: Inbox, closes: HeardCloses, counts: StreamCounts, now_s: float
    ) -> None:
        """Start with a connection that began at `now_s`."""
        self._inbox, self._closes, self._counts = inbox, closes, counts
        self.last_data_s = now_s
        self.responses: deque[ServerResponse] = deque()
        self.dropped: set[str] = set()  # symbols of closes that the queue had no room for
        self.error: Exception | None = None

    def on_event(self, event: StreamEvent) -> None:
        """Take a message without blocking: the connection's thread also answers pings."""
        if not isinstance(event, StreamUpdate):
            self.responses.append(event)
            return
        # What cannot be read is no sign of life.
        if event.event_ms is not None:
            self.last_data_s = time.monotonic()
        if isinstance(event.kline, ReceivedCandle):
            self._on_close(event, event.kline)
        elif event.kline is not None and self._inbox.events.is_crowded:
            self._counts.overflowed += 1  # a flood of unreadable ones must leave room for closes
        else:
            self._inbox.take_update(event)

    def on_error(self, error: Exception) -> None:
        """Store why the connection ended."""
        self.error = error

    def _on_close(self, event: StreamUpdate, candle: ReceivedCandle) -> None:
        event_ms = event.event_ms or 0
        if self._closes.is_repeated(candle, event_ms):
            self._counts.repeated += 1
        elif self._inbox.take_update(event):
            self._closes.add(candle, event_ms)
        else:
            self._counts.overflowed += 1
            self.dropped.add(candle.symbol)
