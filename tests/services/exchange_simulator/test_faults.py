"""Each kind of fault is made, and nothing else is changed by it."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket

from services.exchange_simulator.faults.kinds import (
    EXCHANGE_INFO,
    KINDS,
    MIXED,
    REST_ANSWERS,
    REST_ROWS,
    STREAM_EVENTS,
)
from services.exchange_simulator.faults.kline_changes import (
    EVENT_CHANGES,
    PAGE_CHANGES,
    with_exponent,
)
from services.exchange_simulator.faults.mix import DRAWS, draw_mix
from services.exchange_simulator.faults.rest_wire import ANSWERS
from services.exchange_simulator.faults.script import FaultMix, read_script
from services.exchange_simulator.synthetic import ORIGIN_MS
from shared.core.errors import BadSetting
from tests.support.builders import STEP_MS
from tests.support.simulator import SimulatorThread

HISTORY = 100
START_MS = ORIGIN_MS + HISTORY * STEP_MS
FIRST, SECOND = "SYN01USDT", "SYN02USDT"


class AskedSimulator(SimulatorThread):
    """A simulator that the tests send requests to."""

    def get(self, path: str, **query: object) -> Any:
        parameters = {name: str(value) for name, value in query.items()}
        url = f"http://{self.address}/api/v3/{path}"
        return requests.get(url, parameters, timeout=5)

    def rows(self, symbol: str = FIRST, first: int = 90, **query: object) -> list[Any]:
        start_ms = ORIGIN_MS + first * STEP_MS
        found = self.get("klines", symbol=symbol, interval="5m", startTime=start_ms, **query)
        return list(found.json())


@contextmanager
def simulator(*faults: dict[str, Any], speed: float = 1.0) -> Iterator[AskedSimulator]:
    settings = {"symbols": "3", "history": str(HISTORY), "speed": str(speed)}
    with AskedSimulator(settings, {"faults": faults}) as running:
        yield running


@contextmanager
def stream(running: AskedSimulator, *symbols: str) -> Iterator[websocket.WebSocket]:
    url = f"ws://127.0.0.1:{running.server.port}/ws"
    socket = websocket.create_connection(url, timeout=5)
    with closing(socket):
        names = [f"{symbol.lower()}@kline_5m" for symbol in symbols]
        socket.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}))
        yield socket


def closes(socket: websocket.WebSocket, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        message = json.loads(socket.recv())
        if message.get("k", {}).get("x"):
            found.append(message)
    return found


def receive_until_lost(socket: websocket.WebSocket) -> None:
    while socket.recv():
        pass


def test_every_kind_is_described_once_and_handled() -> None:
    special = {"rows-missing", "rows-unreadable", "rows-provisional"}
    at_stream = {"kline-silent", "kline-late", "kline-early-close", "kline-event-ahead"}
    assert set(ANSWERS) == set(REST_ANSWERS)
    assert set(PAGE_CHANGES) == set(REST_ROWS) - special
    assert set(EVENT_CHANGES) == set(STREAM_EVENTS) - at_stream
    assert set(DRAWS) == set(MIXED) <= set(KINDS)


@pytest.fixture(scope="module")
def honest_rows() -> list[Any]:
    with simulator() as running:
        return running.rows()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "rows-missing", "candles": [-3, -1]}, lambda rows: [*rows[:7], *rows[9:]]),
        ({"kind": "rows-missing", "count": 2}, lambda rows: rows[:-2]),
        ({"kind": "rows-descending"}, lambda rows: rows[::-1]),
        ({"kind": "rows-twice"}, lambda rows: [*rows[:6], *rows[5:]]),
        ({"kind": "rows-short"}, lambda rows: [row[:7] for row in rows]),
        ({"kind": "rows-stale", "seconds": 600}, lambda rows: rows[:9]),
        (
            {"kind": "rows-unreadable", "candles": [-1, 0]},
            lambda rows: [*rows[:9], [*rows[9][:4], "NaN", *rows[9][5:]], rows[10]],
        ),
    ],
)
def test_rows_are_changed_for_the_symbols_named(
    honest_rows: list[Any], fault: dict[str, Any], expected: Any
) -> None:
    with simulator({**fault, "symbols": [FIRST]}) as running:
        # The last row is open and changes with time.
        assert [row[:2] for row in running.rows()] == [row[:2] for row in expected(honest_rows)]
        assert len(running.rows(SECOND)) == len(honest_rows)


def test_a_cache_that_ignores_the_start_gives_the_newest_rows(honest_rows: list[Any]) -> None:
    with simulator({"kind": "rows-start-ignored"}) as running:
        found = running.rows(first=0, limit=5)
    assert [row[0] for row in found] == [row[0] for row in honest_rows[-5:]]


def test_numbers_are_written_in_other_ways(honest_rows: list[Any]) -> None:
    with simulator({"kind": "rows-floats"}) as running:
        assert running.rows()[0][1] == float(honest_rows[0][1])
    with simulator({"kind": "rows-exponents"}) as running:
        text = running.rows()[0][5]
    assert text == with_exponent(honest_rows[0][5])
    assert float(text) == float(honest_rows[0][5])


def test_provisional_rows_settle(honest_rows: list[Any]) -> None:
    with simulator({"kind": "rows-provisional", "seconds": 3600, "for_s": 0.5}) as running:
        early = running.rows()
        time.sleep(0.6)
        assert running.rows()[:10] == honest_rows[:10]
    assert early[9][5] != honest_rows[9][5]
    assert early[9][1] == early[9][4]


def test_a_fault_ends_after_its_times(honest_rows: list[Any]) -> None:
    with simulator({"kind": "rest-refusal", "status": 418, "value": "7", "times": 2}) as running:
        refused = [running.get("time") for _ in range(3)]
        usage = running.server.usage.summary()
    assert [each.status_code for each in refused] == [418, 418, 200]
    assert refused[0].headers["Retry-After"] == "7"
    assert usage["refusals"] == {"418": 2}
    assert usage["requests"] == {"time": 3}


def test_answers_come_slowly_cut_or_not_at_all() -> None:
    with simulator({"kind": "rest-trickle", "seconds": 0.05, "times": 1}) as running:
        began = time.monotonic()
        assert running.get("ping").json() == {}
        assert time.monotonic() - began >= 0.05
    for kind in ("rest-cut", "rest-down"):
        with simulator({"kind": kind, "times": 1}) as running:
            with pytest.raises(requests.RequestException):
                running.get("klines", symbol=FIRST, interval="5m")
            assert running.get("time").ok
    with simulator({"kind": "rest-stall"}) as running, pytest.raises(requests.Timeout):
        requests.get(f"http://127.0.0.1:{running.server.port}/api/v3/time", timeout=0.3)


def test_answers_that_no_client_should_read() -> None:
    faults = [{"kind": kind, "times": 1} for kind in ("rest-deep", "rest-long-number", "rest-huge")]
    with simulator(*faults, {"kind": "rest-answer", "value": {"a": [1]}, "times": 1}) as running:
        answers = {running.get("time").text for _ in range(4)}
    assert {len(text) for text in answers} == {200_000, 5_015, 16_000_004, 9}


def test_the_list_of_symbols_is_short_empty_or_has_absurd_limits() -> None:
    assert set(EXCHANGE_INFO) == {"info-missing", "info-empty", "info-limits"}
    with simulator({"kind": "info-missing", "symbols": [FIRST]}) as running:
        symbols = running.get("exchangeInfo").json()["symbols"]
    assert [each["symbol"] for each in symbols] == [SECOND, "SYN03USDT"]
    with simulator({"kind": "info-empty"}, {"kind": "info-limits", "value": [1]}) as running:
        info = running.get("exchangeInfo").json()
    assert (info["symbols"], info["rateLimits"]) == ([], [1])


def test_a_market_has_holes_halts_listings_and_delistings() -> None:
    faults = [
        {"kind": "hole", "at": -20, "for_candles": 3, "symbols": [FIRST]},
        {"kind": "hole", "at": -18, "for_candles": 2, "symbols": [FIRST]},
        {"kind": "off-grid", "at": -10, "for_candles": 1, "symbols": [FIRST]},
        {"kind": "listing", "at": -5, "symbols": [SECOND]},
        {"kind": "delisting", "at": -2, "symbols": ["SYN03USDT"], "value": "gone"},
        {"kind": "halt", "at": -3, "symbols": [FIRST]},
    ]
    with simulator(*faults) as running:
        market = running.server.view.market
        opens = [(row[0] - START_MS) / STEP_MS for row in running.rows(first=78)]
        assert [round(each, 3) for each in opens] == [
            -22, -21, -16, -15, -14, -13, -12, -11, -9.951, -9, -8, -7, -6, -5, -4,
        ]  # fmt: skip
        assert len(running.rows(first=0, limit=3)) == 3
        assert running.rows(SECOND, first=0)[0][0] == START_MS - 5 * STEP_MS
        assert running.get("klines", symbol="SYN03USDT", interval="5m").json()["code"] == -1121
        listed = {
            each["symbol"]: each["status"] for each in running.get("exchangeInfo").json()["symbols"]
        }
        assert listed == {FIRST: "BREAK", SECOND: "TRADING"}
        assert [c.status for c in market.changes(SECOND)] == ["gone", "TRADING"]


def test_closes_are_early_late_twice_provisional_or_lost() -> None:
    faults: list[dict[str, Any]] = [
        {"kind": "kline-provisional", "symbols": [FIRST]},
        {"kind": "kline-early-close", "seconds": 20, "symbols": [SECOND]},
        {"kind": "kline-silent", "symbols": ["SYN03USDT"]},
    ]
    with (
        simulator(*faults, speed=600) as running,
        stream(running, FIRST, SECOND, "SYN03USDT") as socket,
    ):
        messages = closes(socket, 12)
    first = [m["k"]["v"] for m in messages if m["s"] == FIRST]
    assert first[0] != first[1]
    early = [m["E"] < m["k"]["T"] for m in messages if m["s"] == SECOND]
    assert {True, False} == set(early)
    assert "SYN03USDT" not in {m["s"] for m in messages}


def test_subscriptions_are_refused_or_ignored() -> None:
    faults = [
        {"kind": "subscribe-refused", "symbols": [FIRST]},
        {"kind": "subscribe-ignored", "symbols": [SECOND]},
    ]
    with simulator(*faults) as running:
        with stream(running, FIRST, "SYN03USDT") as socket:
            assert json.loads(socket.recv())["code"] == 2
        with stream(running, SECOND) as socket:
            socket.settimeout(0.3)
            with pytest.raises(websocket.WebSocketTimeoutException):
                socket.recv()


def test_handshakes_are_refused_and_connections_lost() -> None:
    with simulator({"kind": "stream-refusal", "status": 429, "value": "9"}) as running:
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            websocket.create_connection(f"ws://127.0.0.1:{running.server.port}/ws", timeout=5)
        assert caught.value.status_code == 429
    with (
        simulator({"kind": "stream-flap", "seconds": 0.2}) as running,
        stream(running, FIRST) as socket,
    ):
        assert json.loads(socket.recv())["id"] == 1
        with pytest.raises((websocket.WebSocketException, OSError)):
            receive_until_lost(socket)


def test_frames_that_nobody_can_read_arrive_between_the_others() -> None:
    faults: list[dict[str, Any]] = [
        {"kind": "stream-garbage", "count": 2, "value": "{{"},
        {"kind": "stream-large"},
    ]
    with simulator(*faults) as running, stream(running, FIRST) as socket:
        sizes = sorted(len(socket.recv()) for _ in range(4))
    assert sizes[:2] == [2, 2]
    assert sizes[-1] > 2_000_000


def test_the_numbers_of_candles_begin_with_the_first_subscription() -> None:
    faults = [{"kind": "hole", "at": 0, "for_candles": 1}]
    script = {"origin": "first subscription", "faults": faults}
    with AskedSimulator({"symbols": "1", "history": "9"}, script) as running:
        with stream(running, FIRST) as socket:
            socket.recv()
        origin_ms = running.server.plan.origin_ms
        assert origin_ms == ORIGIN_MS + 10 * STEP_MS
        assert running.server.view.final_candle(FIRST, origin_ms) is None
        assert running.server.view.final_candle(FIRST, origin_ms + STEP_MS) is not None


def test_a_mix_is_the_same_for_the_same_seed() -> None:
    mix = FaultMix(seed=3, every_candles=0.5, candles=20)
    symbols = [f"S{number}" for number in range(40)]
    first, second = (list(draw_mix(mix, symbols)) for _ in range(2))
    assert first == second
    assert len(first) > 15
    assert first != list(draw_mix(mix.model_copy(update={"seed": 4}), symbols))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Invalid JSON"),
        ('{"faults": [{"kind": "rain"}]}', "there is no fault 'rain'"),
        ('{"faults": [{"kind": "hole", "for_s": 1, "for_candles": 1}]}', "exclude each other"),
        ('{"mix": {"kinds": ["rest-huge"]}}', "a mix has no fault 'rest-huge'"),
        (None, "cannot read it"),
    ],
)
def test_a_script_that_is_wrong_is_refused_with_its_place(
    tmp_path: Path, text: str | None, message: str
) -> None:
    path = tmp_path / "faults.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadSetting, match=message):
        read_script(path)


def test_the_guide_names_every_kind_and_its_example_is_a_script(tmp_path: Path) -> None:
    guide = Path(__file__).parents[3] / "docs" / "how-to" / "test-a-consumer.md"
    text = guide.read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) >= set(KINDS)
    example = tmp_path / "faults.json"
    example.write_text(text.split("```json\n")[1].split("```")[0])
    script = read_script(example)
    assert len(script.faults) == 3
    assert script.mix is not None
