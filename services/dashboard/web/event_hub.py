"""Server-sent events: each is encoded once and goes to every browser as the same bytes."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

MAX_BROWSERS: Final = 200
QUEUED_EVENTS: Final = 32  # of a browser that does not keep up; the events themselves are shared

RESET: Final = b"event: reset\ndata: {}\n\n"


def encode_event(name: str, data: bytes = b"{}") -> bytes:
    """Return an event's bytes.

    Args:
        name: the event's name.
        data: JSON in one line.
    """
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


class Subscription:
    """What one browser has still to be sent."""

    def __init__(self, symbol: str | None, on_reset: Callable[[], object]) -> None:
        """Begin with nothing to send.

        Args:
            symbol: whose own events the browser wants too.
            on_reset: is called when the browser has not kept up.
        """
        self.symbol, self._on_reset = symbol, on_reset
        self._events: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED_EVENTS)

    def add(self, event: bytes | None) -> None:
        """Add an event, or None for the end; a browser that is too slow is told to begin anew."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self._on_reset()
            while not self._events.empty():
                self._events.get_nowait()
            self._events.put_nowait(None if event is None else RESET)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send."""
        return self._events.empty()

    async def next(self) -> bytes | None:
        """Return the next event, waiting for it; None: no more will come."""
        return await self._events.get()


class EventHub:
    """Hands events to all browsers. It belongs to the event loop."""

    def __init__(self, on_reset: Callable[[], object] = lambda: None) -> None:
        """Begin without browsers.

        Args:
            on_reset: is called whenever a browser has not kept up.
        """
        self._on_reset = on_reset
        self._subscriptions: set[Subscription] = set()
        self._watched: Counter[str] = Counter()
        self.watched_symbols: frozenset[str] = frozenset()  # other threads may read it
        self._is_closed = False

    @property
    def browsers(self) -> int:
        """The number of connected browsers."""
        return len(self._subscriptions)

    @property
    def is_full(self) -> bool:
        """Whether another browser would be one too many."""
        return len(self._subscriptions) >= MAX_BROWSERS

    def subscribe(self, symbol: str | None = None) -> Subscription:
        """Return a new browser's subscription."""
        subscription = Subscription(symbol, self._on_reset)
        self._subscriptions.add(subscription)
        self._count(symbol, 1)
        if self._is_closed:
            subscription.add(None)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a browser."""
        self._subscriptions.discard(subscription)
        self._count(subscription.symbol, -1)

    def publish(self, event: bytes, symbol: str | None = None) -> None:
        """Hand an event to every browser, or to those that watch a symbol."""
        for subscription in self._subscriptions:
            if symbol in {None, subscription.symbol}:
                subscription.add(event)

    def close(self) -> None:
        """End every subscription."""
        self._is_closed = True
        for subscription in self._subscriptions:
            subscription.add(None)

    def _count(self, symbol: str | None, browsers: int) -> None:
        if symbol is not None:
            self._watched[symbol] += browsers
            self._watched += Counter()  # drops what nobody watches
            self.watched_symbols = frozenset(self._watched)
