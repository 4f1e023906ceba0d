"""The queue of events and the exchange's time, shared by the producer's threads."""

import queue
import time
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

    error: Exception


ProducerEvent = (
    ReceivedCandle | UnreadableKline | RestResponse | RestFailure | StreamConnected | ThreadFailure
)


class EventQueue(queue.SimpleQueue[ProducerEvent]):
    """A queue whose writers never block: the stream's thread must stay free to answer pings.

    `put` adds an event even if the queue is full; it is for the few that must not be lost.
    """

    def __init__(self, max_events: int = MAX_EVENTS) -> None:
        """Start empty."""
        self._max_events = max_events

    def offer(self, event: ProducerEvent) -> bool:
        """Add an event and return True, or return False if the queue is full."""
        if self.qsize() >= self._max_events:
            return False
        self.put(event)
        return True

    def drain(self, timeout_s: float) -> list[ProducerEvent]:
        """Remove and return all events, waiting up to `timeout_s` for the first."""
        try:
            first = self.get(timeout=timeout_s)
        except queue.Empty:
            return []
        # Only the worker takes events out, so as many as are there now can be had without a wait.
        return [first, *(self.get_nowait() for _ in range(self.qsize()))]


class ServerTime:
    """The last time that the exchange reported: a lower bound of its time now.

    It is never extrapolated, because an exchange simulator's clock may run faster than real time.
    """

    def __init__(self) -> None:
        """Start before the first report."""
        # One tuple, replaced as a whole: threads read it without a lock.
        self._last: tuple[int, float] = (0, float("-inf"))

    @property
    def ms(self) -> int:
        """The time last reported, in milliseconds; 0 before the first report."""
        return self._last[0]

    def age_s(self) -> float:
        """Return the seconds since the last report."""
        return time.monotonic() - self._last[1]

    def update(self, time_ms: int) -> None:
        """Record a report."""
        self._last = (time_ms, time.monotonic())
