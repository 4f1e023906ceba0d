"""Threads that send REST requests, so that a slow response for one symbol delays no other."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from services.producer.event_queue import Inbox
from services.producer.events import RestFailure, RestResponse, ThreadFailure
from services.producer.ports import KlinePage, RestClient, RestService, SymbolRefused, Throttled
from services.producer.rest.request_queue import RequestOutcome, RequestQueue
from services.producer.rest.requests import KlineRequest
from shared.adapters.retry import Backoff
from shared.core.errors import Unavailable
from shared.core.records import MarketMove

IDLE_S: Final = 0.25  # until the clock's thread looks again whether a reading is due
RECHECK_S: Final = 0.5  # until a thread looks again whether a request may be sent
FIRST_TIME_S: Final = 5.0  # that the first requests wait for the exchange's time


@dataclass(frozen=True, slots=True)
class RestOptions:
    """The number of threads, the interval in milliseconds, the largest number of rows of a page.

    The last may change with the number of symbols.
    """

    threads: int
    interval_ms: int
    read_max_rows: Callable[[], int]


class RestWorkerPool:
    """A fixed number of threads, each with a REST client; responses go to the event queue.

    One more thread reads REST's clock whenever `ExchangeClock` asks for it: an answer with the time
    that hangs holds up no candle.
    """

    def __init__(
        self,
        options: RestOptions,
        service: RestService,
        read_moves: Callable[[int, int], Mapping[int, MarketMove]],
        inbox: Inbox,
    ) -> None:
        """Start the threads as daemons: a request lost at exit is made again at the next start.

        Args:
            options: how many threads, and how much to request.
            service: opens a client for each thread, and says when a request may be sent.
            read_moves: returns the market's moves that the log has between two open times.
            inbox: takes the responses and the times that REST tells.
        """
        self._options, self._service, self._read_moves = options, service, read_moves
        self._clock, self._events = inbox.clock, inbox.events
        self._queue, self._changed = RequestQueue(options.threads), threading.Condition()
        self._has_asked_time = threading.Event()
        for number in range(options.threads):
            threading.Thread(target=self._run, name=f"rest-{number}", daemon=True).start()
        threading.Thread(target=self._read_clock, name="rest-clock", daemon=True).start()

    def request_klines(self, request: KlineRequest) -> None:
        """Request klines; the response or the failure comes through the event queue.

        There is neither if another request replaces it before it is sent: for the same symbol, and
        either both for its reconciliation or none.
        """
        with self._changed:
            self._queue.put(request)
            self._changed.notify()

    def drop(self, symbol: str) -> None:
        """Drop the requests for a symbol that wait."""
        with self._changed:
            self._queue.drop(symbol)

    def _run(self) -> None:
        rest = self._service.open_rest()
        # Without the exchange's time no row is final.
        self._has_asked_time.wait(FIRST_TIME_S)
        while True:
            request = self._take()
            try:
                self._events.put(self._fetch(rest, request))
            except Unavailable as error:
                refused = isinstance(error, SymbolRefused)
                failure = RestFailure(request.symbol, str(error), refused, request.priority)
                self._events.put(failure)
            except Exception as error:  # of any kind: the worker raises it, on the main thread
                self._events.put(ThreadFailure(error))

    def _take(self) -> KlineRequest:
        """Wait for a request that may be sent now."""
        with self._changed:
            while True:
                wait_s = RECHECK_S
                if (request := self._queue.peek(time.monotonic())) is not None:
                    wait_s = self._service.reserve_klines(request.priority)
                    if wait_s <= 0:
                        self._queue.send(request)
                        return request
                self._changed.wait(min(wait_s, RECHECK_S))

    def _read_clock(self) -> None:
        """Read REST's clock whenever it is due; after a failure, with a back-off."""
        rest, backoff = self._service.open_rest(), Backoff()
        while True:
            try:
                if self._clock.claim_reading():
                    sent_s = time.monotonic()
                    self._clock.on_rest_time(rest.server_time_ms(), time.monotonic() - sent_s)
                    backoff = Backoff()
                wait_s = IDLE_S
            except Unavailable:
                wait_s = backoff.next_s()
            except Exception as error:  # of any kind: the worker raises it, on the main thread
                self._events.put(ThreadFailure(error))
                return
            self._has_asked_time.set()
            time.sleep(wait_s)

    def _fetch_page(self, rest: RestClient, request: KlineRequest) -> KlinePage:
        """Fetch klines, and the one before them: the market's move begins at its close."""
        first_ms = max(0, request.from_ms - self._options.interval_ms)
        outcome = RequestOutcome.FAILED
        try:
            page = rest.fetch_klines(
                request.symbol, first_ms, request.until_ms, self._options.read_max_rows()
            )
            outcome = RequestOutcome.ANSWERED
        except SymbolRefused:
            outcome = RequestOutcome.ANSWERED
            raise
        except Throttled:
            outcome = RequestOutcome.BANNED
            raise
        finally:
            with self._changed:
                self._queue.end(request, outcome, time.monotonic())
                self._changed.notify_all()
        return page

    def _fetch(self, rest: RestClient, request: KlineRequest) -> RestResponse:
        """Fetch klines, and the market's moves that the log has of them."""
        step_ms, from_ms, asked = self._options.interval_ms, request.from_ms, self._clock.read()
        page = self._fetch_page(rest, request)
        response = RestResponse(
            request.symbol,
            from_ms,
            page.rows,
            page.has_more,
            asked.closed_ms // step_ms * step_ms,
            request.until_ms,
            priority=request.priority,
            asked=asked,
        )
        times_ms = [row.open_time_ms for row in page.rows if row.open_time_ms is not None]
        begin_ms = min((each for each in times_ms if each >= from_ms), default=from_ms)
        if times_ms and request.until_ms is None and not page.has_more:
            self._clock.on_newest_row(max(times_ms))
        if not times_ms or begin_ms >= request.logged_until_ms:
            return response
        moves = self._read_moves(begin_ms, request.logged_until_ms)
        return replace(response, logged_moves=moves)
