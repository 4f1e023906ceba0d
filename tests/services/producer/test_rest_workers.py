from collections.abc import Mapping
from time import monotonic

import pytest

from services.producer import rest_workers
from services.producer.event_queue import (
    EventQueue,
    RestFailure,
    RestResponse,
    ServerTime,
    ThreadFailure,
)
from services.producer.ports import KlinePage
from services.producer.rest_workers import SETTLING_MS, RestWorkerPool
from services.producer.sequencer import SymbolCursor
from shared.core.errors import Incompatible, UlstmError, Unavailable
from tests.support.waiting import eventually

NOW_MS = 1_735_689_600_000
CURSOR = SymbolCursor("BTCUSDT", NOW_MS - 600_000)


class ScriptedRest:
    """Answers every request with the same empty page, or raises the same error."""

    def __init__(self, error: UlstmError | None = None) -> None:
        self.error = error
        self.settled_ms: list[int] = []

    def server_time_ms(self) -> int:
        return NOW_MS

    def list_symbols(self) -> Mapping[str, bool]:
        return {}

    def fetch_klines(self, symbol: str, from_ms: int, settled_ms: int) -> KlinePage:
        if self.error is not None:
            raise self.error
        self.settled_ms.append(settled_ms)
        return KlinePage([], has_more=False)

    def close(self) -> None: ...


def test_a_response_holds_what_had_settled_when_it_was_requested() -> None:
    rest, events, server_time = ScriptedRest(), EventQueue(), ServerTime()

    RestWorkerPool(1, lambda: rest, server_time, events).request_klines(CURSOR)

    [response] = events.drain(10.0)
    assert response == RestResponse("BTCUSDT", CURSOR.next_open_time_ms, [], has_more=False)
    assert rest.settled_ms == [NOW_MS - SETTLING_MS]
    assert server_time.ms == NOW_MS


@pytest.mark.parametrize(
    ("error", "expected"),
    [(Unavailable("down"), RestFailure), (Incompatible("not served here"), ThreadFailure)],
)
def test_an_error_is_an_event(error: UlstmError, expected: type) -> None:
    events = EventQueue()

    RestWorkerPool(1, lambda: ScriptedRest(error), ServerTime(), events).request_klines(CURSOR)

    [event] = events.drain(10.0)
    assert isinstance(event, expected)


def test_idle_threads_keep_the_exchanges_time_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_workers, "MAX_SILENCE_S", 0.01)
    server_time = ServerTime()

    RestWorkerPool(1, ScriptedRest, server_time, EventQueue())

    eventually(lambda: server_time.ms == NOW_MS)


class RestWithoutTime(ScriptedRest):
    """Counts the requests for the time, and answers none of them."""

    requests = 0

    def server_time_ms(self) -> int:
        self.requests += 1
        raise Unavailable("down")


def test_idle_threads_share_one_request_for_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_workers, "MAX_SILENCE_S", 0.05)
    rest, started_s = RestWithoutTime(), monotonic()

    RestWorkerPool(4, lambda: rest, ServerTime(), EventQueue())

    eventually(lambda: rest.requests >= 3)
    requests = rest.requests  # counted before the time is taken: later ones do not matter
    assert requests <= (monotonic() - started_s) / 0.05 + 1
