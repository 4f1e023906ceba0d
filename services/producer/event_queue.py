"""The queue between the stream and REST threads and the worker."""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from services.producer.sequencer import ReceivedCandle, ReceivedKline, UnreadableKline

MAX_EVENTS: Final = 20_000  # about 20 closes of 1,000 symbols


@dataclass(frozen=True, slots=True)
class RestResponse:
    """Settled klines of one symbol, from a requested open time on."""

    symbol: str
    requested_from_ms: int
    rows: list[ReceivedKline]
    has_more: bool


@dataclass(frozen=True, slots=True)
class RestFailure:
    """A request for one symbol that got no usable response."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class StreamConnected:
    """Every subscription is acknowledged; candles that closed before may be missing."""


@dataclass(frozen=True, slots=True)
class ThreadFailure:
    """An error that a thread cannot handle: the worker raises it."""

    error: BaseException


ProducerEvent = (
    ReceivedCandle | UnreadableKline | RestResponse | RestFailure | StreamConnected | ThreadFailure
)


class EventQueue:
    """A queue whose writers never block: the stream's thread must stay free to answer pings."""

    def __init__(self, max_events: int = MAX_EVENTS) -> None:
        """Start empty."""
        self._max_events = max_events
        self._events: deque[ProducerEvent] = deque()
        self._not_empty = threading.Condition()

    def offer(self, event: ProducerEvent) -> bool:
        """Add an event and return True, or return False if the queue is full."""
        with self._not_empty:
            if len(self._events) >= self._max_events:
                return False
            self._events.append(event)
            self._not_empty.notify()
            return True

    def put(self, event: ProducerEvent) -> None:
        """Add an event even if the queue is full; for the few that must not be lost."""
        with self._not_empty:
            self._events.append(event)
            self._not_empty.notify()

    def drain(self, timeout_s: float) -> list[ProducerEvent]:
        """Remove and return all events, waiting up to `timeout_s` for the first."""
        with self._not_empty:
            if not self._events:
                self._not_empty.wait(timeout_s)
            events = list(self._events)
            self._events.clear()
            return events
