from collections.abc import Callable, Collection, Mapping, Sequence

import pytest

from services.producer.backfill.backfill import Backfill
from services.producer.backfill.backfill_schedule import BackfillSchedule
from services.producer.backfill.doubtful_candles import GapLimits
from services.producer.backfill.sequencer import LogEntry, ReceivedCandle, SymbolCursor
from services.producer.event_queue import EventQueue, Inbox
from services.producer.events import MarketChanged, RestFailure, RestResponse, ThreadFailure
from services.producer.finality.candle_memory import LogTail
from services.producer.finality.clock_estimate import ClockReading
from services.producer.finality.exchange_clock import ExchangeClock
from services.producer.market.tracker import MarketTracker
from services.producer.metrics import ProducerMetrics
from services.producer.rest.requests import KlineRequest
from services.producer.worker import ProducerWorker
from shared.adapters.kafka.errors import Aborted, Refused
from shared.adapters.prometheus import Telemetry
from shared.core.errors import Incompatible

STEP_MS = 300_000
SYMBOL = "BTCUSDT"


class InMemoryCandleLog:
    """A log of one symbol, and of new ones; its next transactions abort as the test says."""

    def __init__(self) -> None:
        self.candles: list[int] = []
        self.others: list[int] = []
        self.aborts = 0
        self.refuses = False

    def open(self) -> None: ...

    def read_tail(self, newest_ms: int, on_tail: Callable[[LogTail], object]) -> None: ...

    def read_cursors(self, symbols: Collection[str]) -> Mapping[str, SymbolCursor]:
        next_ms = self.candles[-1] + STEP_MS if self.candles else 0
        return {
            each: SymbolCursor(each, next_ms) if each == SYMBOL else SymbolCursor(each, 0, True)
            for each in symbols
        }

    def append(self, entries: Sequence[LogEntry]) -> None:
        if self.aborts:
            self.aborts -= 1
            raise Aborted("the transaction was aborted")
        if self.refuses:
            raise Refused("Kafka refuses it: change the topic", concerns_record=False)
        candles = [each for each in entries if isinstance(each, ReceivedCandle)]
        self.candles += [each.open_time_ms for each in candles if each.symbol == SYMBOL]
        self.others += [each.open_time_ms for each in candles if each.symbol != SYMBOL]


class RecordedRequests:
    """Keeps the open times from which klines were requested."""

    def __init__(self) -> None:
        self.from_ms: list[int] = []
        self.symbols: list[str] = []
        self.dropped = ""

    def request_klines(self, request: KlineRequest) -> None:
        self.from_ms.append(request.from_ms)
        self.symbols.append(request.symbol)

    def drop(self, symbol: str) -> None:
        self.dropped = symbol


@pytest.fixture
def candle_log() -> InMemoryCandleLog:
    return InMemoryCandleLog()


@pytest.fixture
def events() -> EventQueue:
    return EventQueue()


@pytest.fixture
def requests() -> RecordedRequests:
    return RecordedRequests()


class Seconds:
    """A clock that goes on when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def worker(
    candle_log: InMemoryCandleLog, events: EventQueue, requests: RecordedRequests, seconds: Seconds
) -> ProducerWorker:
    worker = ProducerWorker(
        candle_log,
        Inbox(events, clock=ExchangeClock(STEP_MS, seconds)),
        Backfill(BackfillSchedule([SYMBOL], STEP_MS, grace_s=3.0), GapLimits(120.0, 600.0)),
        MarketTracker([SYMBOL], MarketChanged((), None), STEP_MS, max_age_ms=60_000),
        requests,
        ProducerMetrics(Telemetry("producer")),
    )
    worker.recover()
    return worker


def candle(at: int, symbol: str = SYMBOL, close: float = 1.0) -> ReceivedCandle:
    return ReceivedCandle(symbol, at * STEP_MS, close, b"{}", "stream", 0)


def response(symbol: str, *rows: ReceivedCandle) -> RestResponse:
    """Return a page whose last candle has been open for a minute."""
    now_ms = rows[-1].open_time_ms + 60_000
    return RestResponse(symbol, 0, [*rows], False, asked=ClockReading(now_ms, now_ms, True))


def test_after_an_aborted_transaction_its_candles_are_requested_again(
    candle_log: InMemoryCandleLog,
    events: EventQueue,
    requests: RecordedRequests,
    worker: ProducerWorker,
) -> None:
    candle_log.aborts = 1
    events.put(candle(0))
    worker.run_once()
    assert requests.from_ms == [0]

    events.put(response(SYMBOL, candle(0), candle(1), candle(2)))
    worker.run_once()

    assert candle_log.candles == [0, STEP_MS]


def test_a_candle_of_the_stream_after_a_hole_waits_for_rest(
    candle_log: InMemoryCandleLog,
    events: EventQueue,
    requests: RecordedRequests,
    worker: ProducerWorker,
) -> None:
    events.put(candle(1))
    worker.run_once()
    assert candle_log.candles == []
    assert requests.from_ms == [0]

    events.put(response(SYMBOL, candle(0), candle(1)))
    worker.run_once()

    assert candle_log.candles == [0, STEP_MS]


def test_an_error_that_a_thread_cannot_handle_ends_the_worker(
    events: EventQueue, worker: ProducerWorker
) -> None:
    events.put(ThreadFailure(Incompatible("not served here")))

    with pytest.raises(Incompatible):
        worker.run_once()


def test_a_symbol_is_followed_and_unfollowed_while_the_others_go_on(
    candle_log: InMemoryCandleLog,
    events: EventQueue,
    requests: RecordedRequests,
    worker: ProducerWorker,
) -> None:
    worker.follow(["NEWUSDT"])
    events.put(candle(0))
    worker.run_once()
    assert set(requests.symbols) == {SYMBOL, "NEWUSDT"}

    events.put(candle(0, "NEWUSDT"))
    worker.run_once()
    assert candle_log.others == [0]

    worker.unfollow("NEWUSDT")
    assert requests.dropped == "NEWUSDT"
    events.put(candle(1, "NEWUSDT"))
    events.put(response("NEWUSDT", candle(1, "NEWUSDT"), candle(2, "NEWUSDT")))
    events.put(RestFailure("NEWUSDT", "refused"))
    events.put(candle(1))
    worker.run_once()

    assert candle_log.others == [0]
    assert candle_log.candles == [0, STEP_MS]


def test_a_symbol_that_is_followed_again_goes_on_where_the_log_has_it(
    candle_log: InMemoryCandleLog, events: EventQueue, worker: ProducerWorker
) -> None:
    events.put(candle(0))
    worker.run_once()
    worker.unfollow(SYMBOL)
    worker.run_once()
    worker.follow([SYMBOL])
    worker.run_once()

    events.put(candle(0))
    events.put(candle(1))
    worker.run_once()

    assert candle_log.candles == [0, STEP_MS]


def test_what_kafka_refuses_is_kept_and_offered_again_without_a_request(
    candle_log: InMemoryCandleLog,
    events: EventQueue,
    requests: RecordedRequests,
    seconds: Seconds,
    worker: ProducerWorker,
) -> None:
    candle_log.refuses = True
    events.put(candle(0))
    for _ in range(3):
        worker.run_once()
    assert (candle_log.candles, requests.from_ms) == ([], [])

    candle_log.refuses = False
    events.put(candle(1))
    seconds.now += 2.0
    worker.run_once()
    assert candle_log.candles == [0, STEP_MS]


def test_what_kafka_refused_is_not_written_twice_after_a_recovery(
    candle_log: InMemoryCandleLog,
    events: EventQueue,
    seconds: Seconds,
    worker: ProducerWorker,
) -> None:
    candle_log.refuses = True
    events.put(candle(0))
    worker.run_once()

    candle_log.refuses = False
    worker.recover()
    events.put(candle(0))
    seconds.now += 2.0
    worker.run_once()

    assert candle_log.candles == [0]
