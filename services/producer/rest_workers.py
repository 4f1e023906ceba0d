"""Threads that ask REST, so that a slow answer about one symbol delays no other."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from services.producer.event_queue import EventQueue, RestFailure, RestResponse, StreamDisconnected
from services.producer.exchanges.binance.client import ROWS_AT_MOST, RestClient
from services.producer.exchanges.binance.schemas import rest_klines
from services.producer.sequencer import SymbolCursor
from services.producer.server_time import ServerTime
from shared.core.errors import UlstmError, Unavailable

TIME_AGE_S: Final = 0.25  # older than so, exchange time is asked for with the klines
SETTLING_MS: Final = 1_000  # REST's database may lag the close by a little


class RestWorkerPool:
    """So many threads; answers go to the inbox."""

    def __init__(
        self,
        threads: int,
        connect: Callable[[], RestClient],
        exchange_time: ServerTime,
        interval: str,
        inbox: EventQueue,
    ) -> None:
        """Start the threads. They end with the process: nothing is lost with an answer."""
        self._connect, self._time, self._interval, self._inbox = (
            connect,
            exchange_time,
            interval,
            inbox,
        )
        self._rest_time = (
            ServerTime()
        )  # REST's own: what it says decides which of its rows are final
        self._places: queue.SimpleQueue[SymbolCursor | None] = queue.SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._run, name=f"rest-{number}", daemon=True).start()

    def ask(self, place: SymbolCursor) -> None:
        """Have the klines from a place on asked for."""
        self._places.put(place)

    def ask_time(self) -> None:
        """Have exchange time asked for."""
        self._places.put(None)

    def _run(self) -> None:
        rest = self._connect()
        while True:
            place = self._places.get()
            try:
                self._asked(rest, place)
            except Unavailable as error:
                if place is not None:
                    self._inbox.put(RestFailure(place.symbol, str(error)))
            except UlstmError as error:
                self._inbox.put(StreamDisconnected(error))
            except BaseException as error:
                self._inbox.put(StreamDisconnected(error))
                raise

    def _asked(self, rest: RestClient, place: SymbolCursor | None) -> None:
        # Exchange time first: what had closed by then is settled in the answer that comes after.
        settled_ms = self._rest_time.at_most(TIME_AGE_S, rest.time_ms)
        if self._time.age_s() > TIME_AGE_S:
            self._time.on_message(settled_ms)
        if place is None:
            return
        rows = rest.klines(place.symbol, self._interval, place.next_ms)
        arrival_ms = time.time_ns() // 1_000_000
        klines = rest_klines(
            place.symbol, self._interval, rows, settled_ms - SETTLING_MS, arrival_ms
        )
        self._inbox.put(
            RestResponse(place.symbol, place.next_ms, klines, full=len(rows) >= ROWS_AT_MOST)
        )
