import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import START_MS, STEP_MS
from tests.support.deployment import Deployment
from tests.support.simulated_exchange import CANDLES, SimulatedExchange, write_recording
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["AAAUSDT", "BBBUSDT", "CCCUSDT"]


def assert_contiguous(records: list[dict[str, Any]]) -> None:
    """Check that each record begins where the one before it ends."""
    ends = None
    for record in records:
        begins = record["from_open_time_ms"] if record["type"] == "gap" else record["open_time_ms"]
        assert ends in {None, begins}
        ends = record["until_open_time_ms"] if record["type"] == "gap" else begins + STEP_MS


@pytest.fixture
def exchange(deployment: Deployment, tmp_path: Path) -> SimulatedExchange:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for symbol in SYMBOLS:
        write_recording(recordings, symbol, range(595, 605) if symbol == "BBBUSDT" else range(0))
    return SimulatedExchange(deployment, recordings)


def test_killed_and_started_again_the_log_has_every_candle_once_in_order_and_the_hole_as_a_gap(
    exchange: SimulatedExchange,
) -> None:
    exchange.start()
    for _ in range(3):
        before = exchange.count()
        producer = exchange.start_producer(SYMBOLS)
        eventually(partial(exchange.has_published, before + 60), 60)
        producer.kill()
    exchange.start_producer(SYMBOLS)
    last = START_MS + (CANDLES - 1) * STEP_MS

    eventually(
        lambda: all(exchange.klines()[s][-1].get("open_time_ms") == last for s in SYMBOLS), 90
    )

    log = exchange.klines()
    for symbol in SYMBOLS:
        assert_contiguous(log[symbol])
    gaps = [r for records in log.values() for r in records if r["type"] == "gap"]
    assert [(g["symbol"], g["from_open_time_ms"], g["until_open_time_ms"]) for g in gaps] == [
        ("BBBUSDT", START_MS + 595 * STEP_MS, START_MS + 605 * STEP_MS)
    ]
    assert {r.get("close") for r in log["AAAUSDT"][:7]} == {str(101 + n) for n in range(7)}


def test_an_exchange_that_goes_away_and_comes_back_costs_no_candle(
    exchange: SimulatedExchange,
) -> None:
    simulator = exchange.start()
    producer = exchange.start_producer(SYMBOLS)
    eventually(partial(exchange.has_published, 3 * 310), 60)
    simulator.kill()
    before = exchange.count()
    newest = max(r.get("open_time_ms", 0) for r in exchange.klines()["AAAUSDT"])
    exchange.start(EXCHANGE_START_MS=str(newest + 40 * STEP_MS))

    eventually(partial(exchange.has_published, before + 3 * 60), 60)

    for records in exchange.klines().values():
        assert_contiguous(records)
    assert producer.kill(signal.SIGTERM) == 0


def test_a_second_producer_fences_the_first_and_the_log_stays_whole(
    exchange: SimulatedExchange,
) -> None:
    exchange.start()
    first = exchange.start_producer(SYMBOLS)
    eventually(partial(exchange.has_published, 3 * 300), 60)
    exchange.start_producer(SYMBOLS)

    assert first.process.wait(60) == 1
    assert "stop one of them" in first.log_text()
    assert "Traceback" not in first.log_text()
    before = exchange.count()
    eventually(partial(exchange.has_published, before + 30), 60)
    for records in exchange.klines().values():
        assert_contiguous(records)


def test_a_missing_exchange_is_named_and_waited_for(exchange: SimulatedExchange) -> None:
    producer = exchange.start_producer(SYMBOLS)
    eventually(lambda: f"127.0.0.1:{exchange.port}" in producer.log_text(), 60)
    exchange.start()

    eventually(partial(exchange.has_published, 300), 60)
