"""Threads that send REST requests, so that a slow response for one symbol delays no other."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from services.producer.event_queue import Inbox
from services.producer.events import RestFailure, RestResponse, ThreadFailure
from services.producer.exchanges.validation import settled_klines
from services.producer.ports import RestClient
from services.producer.requests import KlineRequest
from shared.core.errors import Unavailable
from shared.core.records import MarketMove

IDLE_S: Final = 0.25  # without a request, until an idle thread looks whether the time is due
SETTLING_MS: Final = 1_000  # REST's database may lag the close by a little


@dataclass(frozen=True, slots=True)
class RestOptions:
    """The number of threads, the interval in milliseconds, the largest number of rows of a page."""

    threads: int
    interval_ms: int
    max_rows: int


class RestWorkerPool:
    """A fixed number of threads, each with a REST client; responses go to the event queue.

    They also read REST's clock whenever `ExchangeClock` asks for it.
    """

    def __init__(
        self,
        options: RestOptions,
        open_rest: Callable[[], RestClient],
        read_moves: Callable[[int, int], Mapping[int, MarketMove]],
        inbox: Inbox,
    ) -> None:
        """Start the threads as daemons: a request lost at exit is made again at the next start.

        Args:
            options: how many threads, and how much to request.
            open_rest: returns a client for one thread.
            read_moves: returns the market's moves that the log has between two open times.
            inbox: takes the responses and the times that REST tells.
        """
        self._options, self._open_rest, self._read_moves = options, open_rest, read_moves
        self._clock, self._events = inbox.clock, inbox.events
        self._requests: queue.SimpleQueue[KlineRequest] = queue.SimpleQueue()
        for number in range(options.threads):
            threading.Thread(target=self._run, name=f"rest-{number}", daemon=True).start()

    def request_klines(self, request: KlineRequest) -> None:
        """Request klines; the response or the failure comes through the event queue."""
        self._requests.put(request)

    def _run(self) -> None:
        rest = self._open_rest()
        while True:
            try:
                request = self._requests.get(timeout=IDLE_S)
            except queue.Empty:
                request = None  # idle
            try:
                self._send(rest, request)
            except Unavailable as error:
                if request is not None:
                    self._events.put(
                        RestFailure(request.symbol, str(error), priority=request.priority)
                    )
            except Exception as error:  # of any kind: the worker raises it, on the main thread
                self._events.put(ThreadFailure(error))

    def _send(self, rest: RestClient, request: KlineRequest | None) -> None:
        """Read REST's clock if that is due, then request klines if any are wanted."""
        # The time first: what had closed by then is final in the response that comes after it.
        if self._clock.claim_reading():
            sent_s = time.monotonic()
            self._clock.on_rest_time(rest.server_time_ms(), time.monotonic() - sent_s)
        if request is not None:
            self._events.put(self._fetch(rest, request))

    def _fetch(self, rest: RestClient, request: KlineRequest) -> RestResponse:
        """Fetch klines, and the candle before them: the market's move begins at its close."""
        step_ms, from_ms, asked = self._options.interval_ms, request.from_ms, self._clock.read()
        settled_ms = asked.closed_ms - SETTLING_MS
        first_ms = max(0, from_ms - step_ms)
        page = rest.fetch_klines(request.symbol, first_ms, request.until_ms, self._options.max_rows)
        settled = settled_klines(page.rows, step_ms, settled_ms)
        response = RestResponse(
            request.symbol,
            from_ms,
            settled,
            page.has_more,
            settled_ms // step_ms * step_ms,
            request.until_ms,
            priority=request.priority,
            asked=asked,
        )
        times_ms = [row.open_time_ms for row in settled if row.open_time_ms is not None]
        begin_ms = min((each for each in times_ms if each >= from_ms), default=from_ms)
        if not settled or begin_ms >= request.logged_until_ms:
            return response
        moves = self._read_moves(begin_ms, request.logged_until_ms)
        return replace(response, logged_moves=moves)
