"""What the producer's threads share: the queue of events, the prices heard, the time."""

import queue
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from services.producer.events import ProducerEvent
from services.producer.finality.exchange_clock import ExchangeClock
from services.producer.market.price_book import HeardPrice, PriceEvent
from services.producer.ports import StreamUpdate

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

    @property
    def is_crowded(self) -> bool:
        """Whether the queue is half full: the rest is kept for important events."""
        return self.qsize() >= self._max_events // 2

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
        self._heard: deque[PriceEvent] = deque(maxlen=MAX_PRICES)

    def put(self, heard: PriceEvent) -> None:
        """Add what the stream told; drops the oldest if nobody takes it."""
        self._heard.append(heard)

    def drain(self) -> Iterator[PriceEvent]:
        """Remove and yield what is there, the oldest first."""
        while self._heard:
            yield self._heard.popleft()


@dataclass(frozen=True, slots=True)
class Inbox:
    """What the other threads report to the worker, and the symbols whose end it has recorded."""

    events: EventQueue = field(default_factory=EventQueue)
    prices: PriceFeed = field(default_factory=PriceFeed)
    ended: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    clock: ExchangeClock = field(default_factory=ExchangeClock)

    def take_update(self, update: StreamUpdate) -> bool:
        """Take a message of the stream; return False if the queue is full.

        A closed kline that ends after the exchange's time now is dropped, with its price: whatever
        it holds is not final, and REST gives it once it is.
        """
        kline, price = update.kline, update.price
        # 1. Judge by what was known before: a message is no witness of its own time.
        is_ahead = price is not None and not self._has_come(price)
        if update.event_ms is not None:
            self.clock.on_event_time("" if price is None else price.symbol, update.event_ms)
        if is_ahead:
            return True
        # 2. The price first: whoever takes the candle out of the queue finds its close.
        if price is not None:
            self.prices.put(price)
        return kline is None or self.events.offer(kline)

    def _has_come(self, price: HeardPrice) -> bool:
        if price.is_close:
            return self.clock.has_closed(price.open_time_ms)
        return self.clock.has_come(price.event_ms)
