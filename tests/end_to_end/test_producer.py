import json
import os
import signal
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shared.local_servers.launcher import free_port
from tests.support.builders import START_MS, STEP_MS
from tests.support.deployment import Stack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["AAAUSDT", "BBBUSDT", "CCCUSDT"]
CANDLES = 800


@dataclass
class Feed:
    """An exchange and a producer as processes."""

    stack: Stack
    folder: Path
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def exchange(self, **environ: str) -> subprocess.Popen[bytes]:
        given = {"EXCHANGE_PORT": str(self.port), "EXCHANGE_SPEED": "3000", **environ}
        process = self._spawn("services.exchange_simulator", given)
        eventually(lambda: _answers(self.port))
        return process

    def producer(self) -> subprocess.Popen[bytes]:
        where = f"127.0.0.1:{self.port}"
        given = {
            "EXCHANGE_REST_URL": f"http://{where}",
            "EXCHANGE_STREAM_URL": f"ws://{where}",
            "SYMBOLS": ",".join(SYMBOLS),
            "BACKFILL_CANDLES": "300",
            "CLOSE_GRACE_S": "0.5",
        }
        return self._spawn("services.producer", given)

    def _spawn(self, module: str, given: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{module}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                env={**os.environ, **self.stack.environ, **given},
                stderr=log,
                stdout=log,
            )
        self.processes.append(process)
        return process

    def log(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in self.stack.read(self.stack.settings.topics.klines):
            fields = json.loads(record.value or b"{}")
            found[fields["symbol"]].append(fields)
        return found

    def count(self) -> int:
        return sum(map(len, self.log().values()))


def _answers(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def assert_contiguous(records: list[dict[str, Any]]) -> None:
    """Each record begins where the one before it ends."""
    ends = None
    for record in records:
        begins = record["from_open_time_ms"] if record["type"] == "gap" else record["open_time_ms"]
        assert ends in {None, begins}
        ends = record["until_open_time_ms"] if record["type"] == "gap" else begins + STEP_MS


def write_recording(folder: Path, symbol: str, missing: range) -> None:
    lines = []
    for at in range(CANDLES):
        if at not in missing:
            opens = START_MS + at * STEP_MS
            price = 100 + at % 7
            lines.append(
                f"{opens},{price},{price + 2},{price - 2},{price + 1},5.5,{opens + STEP_MS - 1},550,10,2,200,0"
            )
    (folder / f"{symbol}-5m-2025-01.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def feed(kafka_bootstrap: str, redis_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[Feed]:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for symbol in SYMBOLS:
        write_recording(recordings, symbol, range(595, 605) if symbol == "BBBUSDT" else range(0))
    with Stack(kafka_bootstrap, redis_url, topic_prefix, tmp_path) as stack:
        feed = Feed(stack, tmp_path)
        yield feed
        for process in feed.processes:
            process.kill()
            process.wait()


def recorded(feed: Feed) -> dict[str, str]:
    return {"EXCHANGE_CANDLES": str(feed.folder / "recordings"), "EXCHANGE_HISTORY": "500"}


def test_killed_and_started_again_the_log_has_every_candle_once_in_order_and_the_hole_as_a_gap(
    feed: Feed,
) -> None:
    feed.exchange(**recorded(feed))
    for _ in range(3):
        before = feed.count()
        producer = feed.producer()
        eventually(lambda before=before: feed.count() > before + 60, 60)  # type: ignore[misc]
        producer.kill()
        producer.wait()
    feed.producer()
    last = START_MS + (CANDLES - 1) * STEP_MS

    eventually(lambda: all(feed.log()[s][-1].get("open_time_ms") == last for s in SYMBOLS), 90)

    log = feed.log()
    for symbol in SYMBOLS:
        assert_contiguous(log[symbol])
    gaps = [r for records in log.values() for r in records if r["type"] == "gap"]
    assert [(g["symbol"], g["from_open_time_ms"], g["until_open_time_ms"]) for g in gaps] == [
        ("BBBUSDT", START_MS + 595 * STEP_MS, START_MS + 605 * STEP_MS)
    ]
    assert {r.get("close") for r in log["AAAUSDT"][:7]} == {str(101 + n) for n in range(7)}


def test_an_exchange_that_goes_away_and_comes_back_costs_no_candle(feed: Feed) -> None:
    exchange = feed.exchange(**recorded(feed))
    producer = feed.producer()
    eventually(lambda: feed.count() > 3 * 310, 60)
    exchange.kill()
    exchange.wait()
    before = feed.count()
    newest = max(r.get("open_time_ms", 0) for r in feed.log()["AAAUSDT"])
    feed.exchange(**recorded(feed), EXCHANGE_START_MS=str(newest + 40 * STEP_MS))

    eventually(lambda: feed.count() > before + 3 * 60, 60)

    for records in feed.log().values():
        assert_contiguous(records)
    producer.send_signal(signal.SIGTERM)
    assert producer.wait(10) == 0


def test_a_second_producer_fences_the_first_and_the_log_stays_whole(feed: Feed) -> None:
    feed.exchange(**recorded(feed))
    first = feed.producer()
    eventually(lambda: feed.count() > 3 * 300, 60)
    feed.producer()

    assert first.wait(60) == 1
    said = (feed.folder / "services.producer-1.log").read_text()
    assert "stop one of them" in said
    assert "Traceback" not in said
    before = feed.count()
    eventually(lambda: feed.count() > before + 30, 60)
    for records in feed.log().values():
        assert_contiguous(records)


def test_a_missing_exchange_is_named_and_waited_for(feed: Feed) -> None:
    feed.producer()
    log = feed.folder / "services.producer-0.log"
    eventually(lambda: f"127.0.0.1:{feed.port}" in log.read_text(), 60)
    feed.exchange(**recorded(feed))

    eventually(lambda: feed.count() > 300, 60)
