"""Threads that send REST requests, so that a slow response for one symbol delays no other."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from services.producer.event_queue import (
    EventQueue,
    RestFailure,
    RestResponse,
    ServerTime,
    ThreadFailure,
)
from services.producer.ports import RestClient
from services.producer.sequencer import SymbolCursor
from shared.core.errors import Unavailable

MAX_TIME_AGE_S: Final = 0.25  # of the exchange's time that goes with a request
MAX_SILENCE_S: Final = 2.0  # of the stream, until one idle thread requests the time
SETTLING_MS: Final = 1_000  # REST's database may lag the close by a little


class RestWorkerPool:
    """A fixed number of threads, each with a REST client; responses go to the event queue.

    Idle threads keep the exchange's time fresh while the stream is silent: without it no candle
    would be overdue.
    """

    def __init__(
        self,
        threads: int,
        open_rest: Callable[[], RestClient],
        server_time: ServerTime,
        events: EventQueue,
    ) -> None:
        """Start the threads as daemons: a request lost at exit is made again at the next start."""
        self._open_rest, self._server_time, self._events = open_rest, server_time, events
        # Only REST's own clock can tell which of REST's rows are final: the stream's may be ahead
        # of it.
        self._rest_time = ServerTime()
        self._refresh_lock, self._next_refresh_s = threading.Lock(), 0.0
        self._requests: queue.SimpleQueue[SymbolCursor] = queue.SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._run, name=f"rest-{number}", daemon=True).start()

    def request_klines(self, cursor: SymbolCursor) -> None:
        """Request the klines from a cursor on."""
        self._requests.put(cursor)

    def _run(self) -> None:
        rest = self._open_rest()
        while True:
            try:
                cursor = self._requests.get(timeout=MAX_SILENCE_S)
            except queue.Empty:
                cursor = None  # idle
            try:
                self._send(rest, cursor)
            except Unavailable as error:
                if cursor is not None:
                    self._events.put(RestFailure(cursor.symbol, str(error)))
            except Exception as error:  # of any kind: the worker raises it, on the main thread
                self._events.put(ThreadFailure(error))

    def _send(self, rest: RestClient, cursor: SymbolCursor | None) -> None:
        """Request the klines from a cursor on; without one only the time, if it is old."""
        if cursor is None and not self._may_refresh_time():
            return
        # The time first: what had closed by then is final in the response that comes after it.
        if self._rest_time.age_s() > MAX_TIME_AGE_S:
            self._rest_time.update(rest.server_time_ms())
        time_ms = self._rest_time.ms
        if self._server_time.age_s() > MAX_TIME_AGE_S:
            self._server_time.update(time_ms)
        if cursor is not None:
            from_ms = cursor.next_open_time_ms
            page = rest.fetch_klines(cursor.symbol, from_ms, time_ms - SETTLING_MS)
            self._events.put(RestResponse(cursor.symbol, from_ms, page.rows, page.has_more))

    def _may_refresh_time(self) -> bool:
        """Let one idle thread request the time, whatever the number of threads."""
        with self._refresh_lock:
            now_s = time.monotonic()
            if self._server_time.age_s() < MAX_SILENCE_S or now_s < self._next_refresh_s:
                return False
            self._next_refresh_s = now_s + MAX_SILENCE_S
            return True
