"""Threads that ask REST, so that a slow answer about one symbol delays no other."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from services.producer.binance import ROWS_AT_MOST, Rest
from services.producer.contiguity import Place
from services.producer.exchange_time import ExchangeTime
from services.producer.inbox import Answer, Broken, Inbox, NoAnswer
from services.producer.wire import rest_klines
from shared.core.errors import UlstmError, Unavailable

TIME_AGE_S: Final = 0.25  # older than so, exchange time is asked for with the klines
SETTLING_MS: Final = 1_000  # REST's database may lag the close by a little


class Askers:
    """So many threads; answers go to the inbox."""

    def __init__(
        self, threads: int, connect: Callable[[], Rest], exchange_time: ExchangeTime, interval: str, inbox: Inbox
    ) -> None:
        """Start the threads. They end with the process: nothing is lost with an answer."""
        self._connect, self._time, self._interval, self._inbox = connect, exchange_time, interval, inbox
        self._rest_time = ExchangeTime()  # REST's own: what it says decides which of its rows are final
        self._places: queue.SimpleQueue[Place | None] = queue.SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._run, name=f"rest-{number}", daemon=True).start()

    def ask(self, place: Place) -> None:
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
                    self._inbox.put(NoAnswer(place.symbol, str(error)))
            except UlstmError as error:
                self._inbox.put(Broken(error))
            except BaseException as error:
                self._inbox.put(Broken(error))
                raise

    def _asked(self, rest: Rest, place: Place | None) -> None:
        # Exchange time first: what had closed by then is settled in the answer that comes after.
        settled_ms = self._rest_time.at_most(TIME_AGE_S, rest.time_ms)
        if self._time.age_s() > TIME_AGE_S:
            self._time.heard(settled_ms)
        if place is None:
            return
        rows = rest.klines(place.symbol, self._interval, place.next_ms)
        arrival_ms = time.time_ns() // 1_000_000
        klines = rest_klines(place.symbol, self._interval, rows, settled_ms - SETTLING_MS, arrival_ms)
        self._inbox.put(Answer(place.symbol, place.next_ms, klines, full=len(rows) >= ROWS_AT_MOST))
