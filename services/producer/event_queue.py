"""Where the threads of the producer meet: what they bring, in order of arrival."""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from services.producer.sequencer import ReceivedCandle, UnreadableKline

ROOM: Final = 20_000  # klines of the stream


@dataclass(frozen=True, slots=True)
class RestResponse:
    """What REST said about one symbol."""

    symbol: str
    asked_from_ms: int
    rows: list[ReceivedCandle | UnreadableKline]
    full: bool  # there may be more


@dataclass(frozen=True, slots=True)
class RestFailure:
    """REST did not answer about one symbol."""

    symbol: str
    why: str


@dataclass(frozen=True, slots=True)
class StreamConnected:
    """The stream gives klines from now on; what closed before may be missing."""


@dataclass(frozen=True, slots=True)
class StreamDisconnected:
    """A thread cannot go on."""

    error: BaseException


Event = (
    ReceivedCandle
    | UnreadableKline
    | RestResponse
    | RestFailure
    | StreamConnected
    | StreamDisconnected
)


class EventQueue:
    """A queue with room for so many klines of the stream; whoever brings one is never made to wait."""

    def __init__(self, room: int = ROOM) -> None:
        """Start empty."""
        self._room = room
        self._events: deque[Event] = deque()
        self._filled = threading.Condition()

    def offer(self, event: Event) -> bool:
        """Take an event if there is room."""
        with self._filled:
            if len(self._events) >= self._room:
                return False
            self._events.append(event)
            self._filled.notify()
            return True

    def put(self, event: Event) -> None:
        """Take an event of which there are few."""
        with self._filled:
            self._events.append(event)
            self._filled.notify()

    def take(self, timeout_s: float) -> list[Event]:
        """Return all that is there, waiting for the first."""
        with self._filled:
            if not self._events:
                self._filled.wait(timeout_s)
            events = list(self._events)
            self._events.clear()
            return events
