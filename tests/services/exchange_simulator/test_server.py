"""The unmodified binance-connector against the exchange simulator as a process."""

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket
from binance.error import ClientError
from binance.spot import Spot
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient

from services.exchange_simulator.synthetic import ORIGIN_MS
from shared.core.topics import interval_ms
from tests.support.waiting import eventually

STEP_MS = interval_ms("5m")
HISTORY = 1500
START_MS = ORIGIN_MS + HISTORY * STEP_MS
STREAM = "syn01usdt@kline_5m"


@dataclass
class RunningSimulator:
    """An exchange simulator as a process."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def spot(self, **options: bool) -> Any:
        return Spot(base_url=self.http, timeout=10, **options)


@dataclass
class StreamListener:
    """A connected stream client and the messages it received."""

    client: Any
    received: "queue.Queue[Any]"
    closed: list[bool] = field(default_factory=list)

    def until(self, wanted: Callable[[Any], bool], deadline_s: float = 20.0) -> list[Any]:
        """Return the messages up to and including the first one wanted."""
        ends, messages = time.monotonic() + deadline_s, list[Any]()
        while not messages or not wanted(messages[-1]):
            messages.append(self.received.get(timeout=max(0.01, ends - time.monotonic())))
        return messages


def environment(**settings: str) -> dict[str, str]:
    given = {f"EXCHANGE_{name.upper()}": value for name, value in settings.items()}
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")},
        **given,
    }


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[RunningSimulator]:
    port_file = folder / "port"
    env = environment(
        **{"symbols": "3", "history": str(HISTORY), "port_file": str(port_file), **settings}
    )
    process = subprocess.Popen([sys.executable, "-m", "services.exchange_simulator"], env=env)
    try:
        eventually(lambda: port_file.exists() or process.poll() is not None)
        yield RunningSimulator(process, int(port_file.read_text()))
    finally:
        process.terminate()
        process.wait(15)


@contextmanager
def listening(simulator: RunningSimulator, *, combined: bool = False) -> Iterator[StreamListener]:
    received: queue.Queue[Any] = queue.Queue()
    closed: list[bool] = []
    client = SpotWebsocketStreamClient(
        stream_url=simulator.ws,
        on_message=lambda _, text: received.put(json.loads(text)),
        on_close=lambda _: closed.append(True),
        on_error=lambda *_: closed.append(False),
        is_combined=combined,
        timeout=30,
    )
    try:
        yield StreamListener(client, received, closed)
    finally:
        client.socket_manager.ws.abort()
        client.socket_manager.join(5)
        client.socket_manager.ws.shutdown()  # close() leaves an aborted socket open


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSimulator]:
    with running(tmp_path_factory.mktemp("simulator")) as started:
        yield started


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSimulator]:
    """Start a simulator whose candle of five minutes lasts half a second."""
    with running(tmp_path_factory.mktemp("fast"), speed="600") as started:
        yield started


@pytest.fixture
def client(simulator: RunningSimulator) -> Iterator[Any]:
    spot = simulator.spot()
    with closing(spot.session):
        yield spot


def test_ping_time_and_health_answer(simulator: RunningSimulator, client: Any) -> None:
    assert client.ping() == {}
    assert START_MS <= client.time()["serverTime"] < START_MS + STEP_MS
    assert requests.get(f"{simulator.http}/health/live", timeout=5).text == "alive\n"


def test_exchange_info_names_symbols_and_limits(client: Any) -> None:
    info = client.exchange_info()
    symbols = [(each["symbol"], each["status"]) for each in info["symbols"]]
    assert symbols == [(f"SYN0{number}USDT", "TRADING") for number in (1, 2, 3)]
    assert {(limit["rateLimitType"], limit["limit"]) for limit in info["rateLimits"]} >= {
        ("REQUEST_WEIGHT", 6000)
    }
    assert [each["symbol"] for each in client.exchange_info(symbol="SYN02USDT")["symbols"]] == [
        "SYN02USDT"
    ]
    two = ["SYN01USDT", "SYN03USDT"]
    assert [each["symbol"] for each in client.exchange_info(symbols=two)["symbols"]] == two


def test_pages_of_klines_give_the_whole_history_and_the_open_candle(client: Any) -> None:
    pages, start = [], ORIGIN_MS
    while page := client.klines("SYN01USDT", "5m", startTime=start, limit=1000):
        pages.append(page)
        start = page[-1][0] + 1
    assert [len(page) for page in pages] == [1000, HISTORY + 1 - 1000]
    rows = [row for page in pages for row in page]
    assert [row[0] for row in rows] == [ORIGIN_MS + index * STEP_MS for index in range(HISTORY + 1)]
    assert rows[-2][6] < START_MS <= client.time()["serverTime"] <= rows[-1][6]
    assert all(len(row) == 12 for row in rows)


def test_klines_count_back_from_now_unless_a_start_is_given(client: Any) -> None:
    assert len(client.klines("SYN01USDT", "5m")) == 500
    assert len(client.klines("SYN01USDT", "5m", limit=5000)) == 1000
    assert [row[0] for row in client.klines("SYN01USDT", "5m", limit=2)] == [
        START_MS - STEP_MS,
        START_MS,
    ]
    both_ends = client.klines("SYN01USDT", "5m", startTime=ORIGIN_MS, endTime=ORIGIN_MS + STEP_MS)
    assert [row[0] for row in both_ends] == [ORIGIN_MS, ORIGIN_MS + STEP_MS]


def test_a_ticker_has_the_turnover_and_the_range_of_a_day(client: Any) -> None:
    tickers = {each["symbol"]: each for each in client.ticker_24hr(type="MINI")}
    assert list(tickers) == ["SYN01USDT", "SYN02USDT", "SYN03USDT"]
    one = client.ticker_24hr(symbol="SYN01USDT")
    assert float(one["priceChange"]) == pytest.approx(
        float(one["lastPrice"]) - float(one["openPrice"])
    )
    rows = client.klines("SYN01USDT", "5m", startTime=START_MS - 287 * STEP_MS, limit=287)
    assert float(one["highPrice"]) >= max(float(row[2]) for row in rows)
    assert 0 < float(one["lowPrice"]) <= min(float(row[3]) for row in rows)
    assert float(one["quoteVolume"]) >= sum(float(row[7]) for row in rows)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("klines?symbol=NOPEUSDT&interval=5m", -1121),
        ("klines?symbol=SYN01USDT&interval=7m", -1120),
        ("klines?symbol=syn01usdt&interval=5m", -1100),
        ("klines?symbol=SYN01USDT&interval=5m&limit=many", -1100),
        ("klines?symbol=SYN01USDT&interval=5m&startTime=-1", -1100),
        ("klines?symbol=SYN01USDT&interval=5m&limit=0", -1130),
        ("klines?symbol=SYN01USDT&symbol=SYN02USDT&interval=5m", -1101),
        ("klines?symbol=SYN01USDT", -1102),
        ("klines?symbol=SYN01USDT&interval=", -1105),
        ("klines?symbol=SYN01USDT&interval=5m&colour=red", -1104),
        ("exchangeInfo?symbol=NOPEUSDT", -1121),
        ("exchangeInfo?symbols=SYN01USDT", -1100),
        ("exchangeInfo?symbol=SYN01USDT&symbols=[]", -1128),
        ("ticker/24hr?type=TINY", -1139),
    ],
)
def test_an_invalid_request_gets_the_exchanges_code(
    simulator: RunningSimulator, query: str, code: int
) -> None:
    response = requests.get(f"{simulator.http}/api/v3/{query}", timeout=5)
    assert (response.status_code, response.json()["code"]) == (400, code)


def test_the_connector_raises_the_codes(client: Any) -> None:
    with pytest.raises(ClientError) as caught:
        client.klines("NOPEUSDT", "5m")
    assert (caught.value.status_code, caught.value.error_code) == (400, -1121)


def test_weight_is_counted_refused_and_banned(tmp_path: Path) -> None:
    with running(tmp_path) as simulator:
        spot = simulator.spot(show_limit_usage=True)
        with closing(spot.session):
            spent = [
                int(spot.klines("SYN01USDT", "5m", limit=1)["limit_usage"]["x-mbx-used-weight-1m"])
                for _ in "ab"
            ]
            # a new minute may have begun between the two
            assert spent[1] - spent[0] == 2 or spent[1] == 2
            refused = refusal(spot.exchange_info, 429)
            assert refused.error_code == -1003
            assert 1 <= int(refused.header["Retry-After"]) <= 60
            assert int(refusal(spot.exchange_info, 418).header["Retry-After"]) >= 100


def refusal(send: Callable[[], object], status: int) -> ClientError:
    """Send requests until one is refused with a status; return that error."""
    for _ in range(700):
        try:
            send()
        except ClientError as error:
            if error.status_code == status:
                return error
    pytest.fail(f"no request was refused with {status}")


def test_a_stream_pushes_a_candle_while_it_is_open_and_once_when_it_has_closed(
    fast: RunningSimulator,
) -> None:
    with listening(fast) as listener:
        listener.client.kline(symbol="SYN01USDT", interval="5m", id=7)
        assert listener.until(lambda message: "id" in message)[-1] == {"result": None, "id": 7}
        first = listener.until(lambda message: message["k"]["x"])[-1]["k"]["t"]
        messages = [*listener.until(lambda m: m["k"]["x"]), *listener.until(lambda m: m["k"]["x"])]
    klines = [message["k"] for message in messages]
    for number in (1, 2):
        one = [kline["x"] for kline in klines if kline["t"] == first + number * STEP_MS]
        assert len(one) >= 2
        assert one == [False] * (len(one) - 1) + [True]
    for message in messages:
        assert (message["e"], message["s"], message["k"]["i"]) == ("kline", "SYN01USDT", "5m")
        assert message["k"]["x"] == (message["E"] > message["k"]["T"])
        assert all(isinstance(message["k"][name], str) for name in "ochlvqVQB")


def test_the_closed_candle_of_the_stream_is_the_one_of_rest(fast: RunningSimulator) -> None:
    with listening(fast) as listener:
        listener.client.subscribe([STREAM, "syn02usdt@kline_5m"], id=1)
        closed = [listener.until(lambda m: m.get("k", {}).get("x"))[-1]["k"] for _ in range(4)]
    assert {kline["s"] for kline in closed} == {"SYN01USDT", "SYN02USDT"}
    spot = fast.spot()
    with closing(spot.session):
        for kline in closed:
            (row,) = spot.klines(kline["s"], "5m", startTime=kline["t"], limit=1)
            assert row == [kline[name] for name in "tohlcvTqnVQB"]


def test_the_exchanges_clock_runs_at_its_speed(fast: RunningSimulator) -> None:
    spot = fast.spot()
    with closing(spot.session):
        began, first_ms = time.monotonic(), spot.time()["serverTime"]
        eventually(lambda: spot.time()["serverTime"] > first_ms + STEP_MS)
        assert time.monotonic() - began < 5


def test_the_combined_form_names_the_stream(fast: RunningSimulator) -> None:
    with listening(fast, combined=True) as listener:
        listener.client.subscribe(STREAM, id=1)
        message = listener.until(lambda each: "stream" in each)[-1]
    assert (message["stream"], message["data"]["k"]["s"]) == (STREAM, "SYN01USDT")


def test_subscriptions_are_listed_and_ended(fast: RunningSimulator) -> None:
    with listening(fast) as listener:
        listener.client.subscribe([STREAM, "syn02usdt@kline_5m"], id=1)
        listener.client.unsubscribe(["syn02usdt@kline_5m"], id=2)
        listener.client.list_subscribe(id=3)
        listed = listener.until(lambda message: message.get("id") == 3)[-1]
        assert listed["result"] == [STREAM]
        later = listener.until(lambda message: message.get("k", {}).get("x"))
        assert {message["s"] for message in later} == {"SYN01USDT"}


def test_an_invalid_message_is_answered_with_a_code(simulator: RunningSimulator) -> None:
    with listening(simulator) as listener:
        for text, code in (('{"method": "SHOUT", "id": 5}', 2), ("[]", 2), ("{", 3)):
            listener.client.socket_manager.send_message(text)
            assert listener.received.get(timeout=5)["code"] == code


def test_streams_in_capitals_stay_silent_as_at_the_exchange(fast: RunningSimulator) -> None:
    with listening(fast) as listener:
        listener.client.subscribe(["SYN01USDT@kline_5m", "syn02usdt@kline_5m"], id=1)
        messages = listener.until(lambda message: message.get("k", {}).get("x"))
    assert {message["s"] for message in messages if "s" in message} == {"SYN02USDT"}


def test_no_more_than_1024_streams_fit_a_connection(simulator: RunningSimulator) -> None:
    with listening(simulator) as listener:
        for first in (0, 512):
            listener.client.subscribe([f"{n}@k" for n in range(first, first + 512)], id=first + 1)
        listener.client.subscribe(["one@k"], id=2)
        assert listener.received.get(timeout=5) == {"result": None, "id": 1}
        assert listener.received.get(timeout=5) == {"result": None, "id": 513}
        assert listener.received.get(timeout=5)["code"] == 2


def test_a_message_above_the_size_limit_ends_the_connection(simulator: RunningSimulator) -> None:
    with listening(simulator) as listener:
        listener.client.subscribe(["x" * 9000], id=1)
        eventually(lambda: listener.closed, 10)
    eventually(lambda: usage(simulator)["protocol_violations"] >= 1)


def usage(simulator: RunningSimulator) -> dict[str, Any]:
    return dict(requests.get(f"{simulator.http}/usage", timeout=5).json())


def test_more_than_five_messages_a_second_end_the_connection(simulator: RunningSimulator) -> None:
    with listening(simulator) as listener:
        for number in range(5):
            listener.client.list_subscribe(id=number + 1)
        listener.client.list_subscribe(id=6)
        eventually(lambda: listener.closed, 10)


def test_a_ping_gets_its_payload_back(simulator: RunningSimulator) -> None:
    socket = websocket.create_connection(f"{simulator.ws}/ws", timeout=5)
    with closing(socket):
        socket.ping("hello")
        opcode, frame = socket.recv_data_frame(True)
    assert (opcode, frame.data) == (websocket.ABNF.OPCODE_PONG, b"hello")


def test_on_sigterm_it_announces_the_shutdown_and_ends(tmp_path: Path) -> None:
    with running(tmp_path) as simulator, listening(simulator, combined=True) as listener:
        simulator.process.send_signal(signal.SIGTERM)
        assert listener.received.get(timeout=5)["stream"] == "!serverShutdown"
        eventually(lambda: listener.closed == [True], 10)
        assert simulator.process.wait(10) == 0


def test_recorded_candles_are_served_as_they_are_and_end(tmp_path: Path) -> None:
    lines = [
        f"{start},{price},{price},{price},{price},3.0,{start + STEP_MS - 1},4.5,9,1.5,2.25,0\n"
        for start, price in ((ORIGIN_MS + index * STEP_MS, f"{index + 1}.50") for index in range(8))
    ]
    (tmp_path / "BTCUSDT-5m-2025-01.csv").write_text("".join(lines))
    with running(
        tmp_path, candles=str(tmp_path), symbols="", history="", speed="3000"
    ) as simulator:
        spot = simulator.spot()
        with closing(spot.session):
            eventually(lambda: spot.time()["serverTime"] > ORIGIN_MS + 9 * STEP_MS, 10)
            rows = spot.klines("BTCUSDT", "5m", startTime=0)
    assert rows == [json.loads(f"[{each}]") for each in map(quoted, lines)]


def quoted(line: str) -> str:
    """Return a dump's line as JSON: strings, but for the times and the number of trades."""
    fields = line.strip().split(",")
    return ",".join(text if at in {0, 6, 8} else f'"{text}"' for at, text in enumerate(fields))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"port": "x"}, "EXCHANGE_PORT"),
        ({"speed": "0"}, "EXCHANGE_SPEED"),
        ({"speed": "nan"}, "EXCHANGE_SPEED"),
        ({"symbols": "btc usdt"}, "EXCHANGE_SYMBOLS"),
        ({"symbols": "BTCUSDT"}, "EXCHANGE_SYMBOLS"),
        ({"candles": "/nowhere/at/all"}, "EXCHANGE_CANDLES"),
        ({"start_ms": "1"}, "EXCHANGE_START_MS"),
        ({"port_file": "/nowhere/at/all"}, "EXCHANGE_PORT_FILE"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(settings: dict[str, str], named: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.exchange_simulator"],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert named in done.stderr
