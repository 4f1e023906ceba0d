"""What the producer's threads share: the queue of events, the prices heard, the time."""

import queue
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from services.producer.events import ProducerEvent
from services.producer.price_book import HeardPrice, StreamInterrupted

MAX_EVENTS: Final = 20_000  # about 20 closes of 1,000 symbols
MAX_PRICES: Final = 200_000  # some minutes of 1,000 symbols, while Kafka is away


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


class PriceFeed:
    """The prices of the stream on their way to the worker, which they do not wake up.

    They come by the thousand a second; the worker takes them when it has something to write.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._heard: deque[HeardPrice | StreamInterrupted] = deque(maxlen=MAX_PRICES)

    def put(self, heard: HeardPrice | StreamInterrupted) -> None:
        """Add what the stream told; drops the oldest if nobody takes it."""
        self._heard.append(heard)

    def drain(self) -> Iterator[HeardPrice | StreamInterrupted]:
        """Remove and yield what is there, the oldest first."""
        while self._heard:
            yield self._heard.popleft()


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


@dataclass(frozen=True, slots=True)
class Inbox:
    """What the other threads report to the worker."""

    events: EventQueue = field(default_factory=EventQueue)
    prices: PriceFeed = field(default_factory=PriceFeed)
    server_time: ServerTime = field(default_factory=ServerTime)
