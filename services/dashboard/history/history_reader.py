"""Answer requests for a symbol's past out of the log."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Semaphore
from typing import Any, Final

from services.dashboard.history.figures import SKILL_OUTCOMES
from services.dashboard.history.increments import SymbolIncrements
from services.dashboard.history.paging import PageRequest
from services.dashboard.history.symbol_records import SymbolRecords
from services.dashboard.log_region import ReadingBudget
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput, Unavailable, Unknown
from shared.core.symbols import is_symbol
from shared.core.topics import Topics, interval_ms

MOST_CANDLES: Final = 20_000  # of a page
_READINGS: Final = 2  # at a time
_WAIT_S: Final = 10.0  # for one of them to end
_READING_S: Final = 8.0
_RECORDS: Final = 4_000_000
_KEPT: Final = 150_000  # records of all symbols that are remembered; about 60 MB
_SYMBOLS: Final = 64


class SymbolHistoryReader:
    """Reads one symbol's past when asked, and remembers what it read of the symbols asked last.

    Any thread may call it. A reading is bounded in records and time, and few run at a time.
    """

    def __init__(
        self, kafka: KafkaConnection, topics: Topics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take Kafka's address and the deployment's topics; connect on first use."""
        self._kafka, self._topics, self._clock = kafka, topics, clock
        self._codec = KlineCodec(topics.interval, interval_ms(topics.interval), topics.partitions)
        self._logs: OrderedDict[str, SymbolRecords] = OrderedDict()  # the least recently used first
        self._lock = Lock()  # of `_logs`
        self._readings = Semaphore(_READINGS)

    def read(self, symbol: str, candles: int, before_ms: int | None = None) -> dict[str, Any]:
        """Return so many candles before a time, with all that happened among them.

        Args:
            symbol: the symbol.
            candles: how many, at most MOST_CANDLES.
            before_ms: the open time to end before; None: the newest.

        Returns:
            Plain values. `truncated`: the reading was bounded before all candles were there; asked
            again, it goes on from there.

        Raises:
            Unknown: the log has no such symbol.
            BadInput: a number is out of range.
            Unavailable: Kafka does not answer, or too many readings are under way.
        """
        request = _to_request(candles, before_ms)
        with self._open(symbol) as log:
            self._load(log, request)
            return log.to_page(request)

    def follow(self, symbol: str) -> SymbolIncrements:
        """Return what follows a symbol from now on, with its newest candles.

        Raises:
            Unknown: the log has no such symbol.
            Unavailable: Kafka does not answer, or too many readings are under way.
        """
        with self._open(symbol) as log:
            self._load(log, PageRequest(SKILL_OUTCOMES))
            return SymbolIncrements(log.to_past())

    @contextmanager
    def _open(self, symbol: str) -> Iterator[SymbolRecords]:
        """Give a symbol's records to one reading at a time, and few symbols to readings."""
        if not is_symbol(symbol):
            raise Unknown(f"{symbol[:50]!r} is no symbol")
        with self._lock:
            log = self._logs.pop(symbol, None) or SymbolRecords(symbol, self._codec)
            self._logs[symbol] = log
        # The symbol first: many who ask for the same one must not keep others out.
        try:
            with _acquired(log.turns), _acquired(self._readings):
                yield log
        finally:
            self._forget()

    def _load(self, log: SymbolRecords, request: PageRequest) -> None:
        with self._reader(self._topics.klines, log) as reader:
            log.read_candles(reader, request, self._budget())
        if log.is_unknown:
            raise Unknown(f"the log has no candles of {log.symbol}")
        from_ms = log.range_of(request).span.from_ms
        with self._reader(self._topics.predictions, log) as reader:
            log.read_predictions(reader, from_ms, self._budget())

    def _reader(self, topic: str, log: SymbolRecords) -> Reader:
        return Reader(self._kafka, topic, key=log.symbol.encode())

    def _budget(self) -> ReadingBudget:
        return ReadingBudget(_RECORDS, self._clock() + _READING_S, self._clock)

    def _forget(self) -> None:
        """Forget the symbols that were not asked for the longest, and those the log has not."""
        with self._lock:
            size = sum(log.size for log in self._logs.values())
            for symbol, log in list(self._logs.items()):
                if size > _KEPT or len(self._logs) > _SYMBOLS or log.is_unknown:
                    size -= log.size
                    del self._logs[symbol]


@contextmanager
def _acquired(turns: Semaphore) -> Iterator[None]:
    if not turns.acquire(timeout=_WAIT_S):
        raise Unavailable("too many readings of the log are under way; try again")
    try:
        yield
    finally:
        turns.release()


def _to_request(candles: int, before_ms: int | None) -> PageRequest:
    if not 1 <= candles <= MOST_CANDLES:
        raise BadInput("bad_field", f"candles is {candles}; allowed: 1 to {MOST_CANDLES}")
    if before_ms is not None and before_ms < 0:
        raise BadInput("bad_field", f"before_ms is {before_ms}; allowed: 0 or more")
    return PageRequest(candles, before_ms)
