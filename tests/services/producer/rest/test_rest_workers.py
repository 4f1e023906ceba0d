import threading
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Self

import pytest

from services.producer.backfill.sequencer import ReceivedCandle
from services.producer.event_queue import Inbox
from services.producer.events import RestFailure, RestResponse, ThreadFailure
from services.producer.ports import DayTicker, KlinePage, ListedSymbol, SymbolRefused
from services.producer.rest import rest_workers
from services.producer.rest.requests import KlineRequest, Priority
from services.producer.rest.rest_workers import RestOptions, RestWorkerPool
from shared.adapters.retry import FIRST_WAIT_S
from shared.core.errors import Incompatible, UlstmError, Unavailable
from shared.core.records import MarketMove
from tests.support.waiting import eventually

NOW_MS = 1_735_689_600_000
STEP_MS = 300_000
REQUEST = KlineRequest("BTCUSDT", NOW_MS - 2 * STEP_MS)


class ScriptedRest:
    """Answers every request with the candles until now, or raises an error; its only client."""

    def __init__(self, error: UlstmError | None = None) -> None:
        self.error = error
        self.allowed = set(Priority)  # the requests that may be sent
        self.requested: list[str] = []

    def open_rest(self) -> Self:
        return self

    def reserve_klines(self, priority: Priority) -> float:
        return 0.0 if priority in self.allowed else 0.01

    def server_time_ms(self) -> int:
        return NOW_MS

    def list_symbols(self) -> Mapping[str, ListedSymbol]:
        return {}

    def fetch_tickers(self) -> Sequence[DayTicker]:
        return []

    def fetch_klines(
        self, symbol: str, from_ms: int, until_ms: int | None, max_rows: int
    ) -> KlinePage:
        self.requested.append(symbol)
        if self.error is not None:
            raise self.error
        rows = [candle(open_ms) for open_ms in range(from_ms, NOW_MS + 1, STEP_MS)]
        return KlinePage([*rows[:max_rows]], len(rows) > max_rows, NOW_MS)

    def close(self) -> None: ...


def candle(open_ms: int) -> ReceivedCandle:
    return ReceivedCandle("BTCUSDT", open_ms, 1.0, b"{}", "rest", 0)


def no_moves(from_ms: int, until_ms: int) -> Mapping[int, MarketMove]:
    return {}


def start_pool(
    rest: ScriptedRest, inbox: Inbox, threads: int = 1, max_rows: int = 1_000
) -> RestWorkerPool:
    return RestWorkerPool(RestOptions(threads, STEP_MS, lambda: max_rows), rest, no_moves, inbox)


def test_a_response_holds_all_rows_and_the_candle_before() -> None:
    rest, inbox = ScriptedRest(), Inbox()

    start_pool(rest, inbox).request_klines(REQUEST)

    [response] = inbox.events.drain(10.0)
    assert response == RestResponse(
        "BTCUSDT",
        REQUEST.from_ms,
        [candle(NOW_MS + at * STEP_MS) for at in range(-3, 1)],
        has_more=False,
        complete_until_ms=NOW_MS,
    )
    assert abs(inbox.clock.read().now_ms - NOW_MS) < 10_000


def test_a_page_that_the_exchange_cut_has_more() -> None:
    inbox = Inbox()

    start_pool(ScriptedRest(), inbox, max_rows=3).request_klines(
        KlineRequest("BTCUSDT", NOW_MS - 9 * STEP_MS)
    )

    [response] = inbox.events.drain(10.0)
    assert isinstance(response, RestResponse)
    assert response.has_more
    assert response.rows == [candle(NOW_MS - at * STEP_MS) for at in (10, 9, 8)]


@pytest.mark.parametrize(("logged_until", "expected"), [(-9, {}), (-8, {7: MarketMove(0.5, 9)})])
def test_moves_are_read_from_the_log_if_it_has_candles_of_the_time(
    logged_until: int, expected: Mapping[int, MarketMove]
) -> None:
    inbox, spans = Inbox(), list[tuple[int, int]]()

    def read_moves(from_ms: int, until_ms: int) -> Mapping[int, MarketMove]:
        spans.append((from_ms, until_ms))
        return {7: MarketMove(0.5, 9)}

    pool = RestWorkerPool(RestOptions(1, STEP_MS, lambda: 1_000), ScriptedRest(), read_moves, inbox)
    from_ms = NOW_MS - 9 * STEP_MS
    pool.request_klines(KlineRequest("BTCUSDT", from_ms, NOW_MS + logged_until * STEP_MS))

    [response] = inbox.events.drain(10.0)
    assert isinstance(response, RestResponse)
    assert response.logged_moves == expected
    assert spans == [(from_ms, NOW_MS - 8 * STEP_MS)] * len(expected)


@pytest.mark.parametrize(
    ("error", "expected"),
    [(Unavailable("down"), RestFailure), (Incompatible("not served here"), ThreadFailure)],
)
def test_an_error_is_an_event(error: UlstmError, expected: type) -> None:
    inbox = Inbox()

    start_pool(ScriptedRest(error), inbox).request_klines(REQUEST)

    [event] = inbox.events.drain(10.0)
    assert isinstance(event, expected)


def test_a_symbol_that_the_exchange_refuses_is_named_as_refused() -> None:
    inbox = Inbox()

    start_pool(ScriptedRest(SymbolRefused("no such symbol")), inbox).request_klines(REQUEST)

    [event] = inbox.events.drain(10.0)
    assert event == RestFailure("BTCUSDT", "no such symbol", refused=True)


class HangingRest(ScriptedRest):
    """Does not answer requests for one symbol, nor for the time, until the test ends."""

    def __init__(self) -> None:
        super().__init__()
        self.end = threading.Event()

    def server_time_ms(self) -> int:
        self.end.wait()
        raise Unavailable("the deadline has passed")

    def fetch_klines(
        self, symbol: str, from_ms: int, until_ms: int | None, max_rows: int
    ) -> KlinePage:
        if symbol == "HUNG":
            self.end.wait()
        return super().fetch_klines(symbol, from_ms, until_ms, max_rows)


def test_an_answer_that_hangs_holds_up_no_other_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_workers, "FIRST_TIME_S", 0.0)
    rest, inbox = HangingRest(), Inbox()
    pool = start_pool(rest, inbox, threads=2)

    for symbol in ("HUNG", "A", "B", "C"):
        pool.request_klines(KlineRequest(symbol, NOW_MS - STEP_MS))

    eventually(lambda: rest.requested == ["A", "B", "C"])
    rest.end.set()
    eventually(lambda: rest.requested == ["A", "B", "C", "HUNG"])


def test_requests_wait_until_their_priority_is_allowed() -> None:
    rest = ScriptedRest()
    rest.allowed = {Priority.LIVE}
    pool = start_pool(rest, Inbox())
    pool.request_klines(KlineRequest("OLD", NOW_MS, priority=Priority.BACKFILL))
    pool.request_klines(KlineRequest("NEW", NOW_MS, priority=Priority.LIVE))
    eventually(lambda: rest.requested == ["NEW"])

    rest.allowed = set(Priority)

    eventually(lambda: rest.requested == ["NEW", "OLD"])


def test_a_request_that_is_dropped_is_not_sent() -> None:
    rest = ScriptedRest()
    rest.allowed = set()
    pool = start_pool(rest, Inbox())
    for symbol in ("GONE", "STAYS"):
        pool.request_klines(KlineRequest(symbol, NOW_MS))

    pool.drop("GONE")
    rest.allowed = set(Priority)

    eventually(lambda: rest.requested == ["STAYS"])


def test_the_exchanges_time_is_kept_fresh() -> None:
    inbox = Inbox()

    start_pool(ScriptedRest(), inbox)

    eventually(lambda: inbox.clock.read().now_ms >= NOW_MS)


class RestWithoutTime(ScriptedRest):
    """Counts the requests for the time, and answers none of them."""

    requests = 0

    def server_time_ms(self) -> int:
        self.requests += 1
        raise Unavailable("down")


def test_a_time_that_is_not_told_is_asked_for_with_a_back_off() -> None:
    rest, started_s = RestWithoutTime(), monotonic()

    start_pool(rest, Inbox(), threads=4)

    eventually(lambda: rest.requests >= 3)
    assert monotonic() - started_s >= 0.7 * (FIRST_WAIT_S + 2 * FIRST_WAIT_S)
