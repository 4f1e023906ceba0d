import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.core.errors import Unavailable
from shared.local_servers import binaries
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

ADDRESS = re.compile(r"Live page: (http://127\.0\.0\.1:[0-9]+)")
LINE = re.compile(r"([1-9][0-9]*) predictions of 20 symbols")


@dataclass
class UpProcess:
    """`ulstm up` as a process; it and its children have a mark in their environment."""

    process: subprocess.Popen[bytes]
    mark: str
    output: Path

    def text(self) -> str:
        return " ".join(self.output.read_text().split())

    def commands(self) -> list[str]:
        """Return the command lines of the processes that have the mark."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # it has ended, or is not ours
                continue
        return found


@pytest.fixture
def up(tmp_path: Path) -> Iterator[UpProcess]:
    try:
        binaries.kafka_class_path()
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    mark, output = uuid.uuid4().hex, tmp_path / "output.txt"
    # A background job ignores SIGINT and so would its children; at a terminal it is not ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "up"],
            env={**os.environ, "ULSTM_TEST_MARK": mark, "COLUMNS": "200"},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    yield UpProcess(process, mark, output)
    process.kill()
    process.wait()


def test_the_demo_predicts_twenty_symbols_and_ends_in_order_with_a_summary(up: UpProcess) -> None:
    eventually(lambda: LINE.search(up.text()) or up.process.poll() is not None, 110)
    assert LINE.search(up.text()), up.text()

    address = ADDRESS.search(up.text())
    assert address, up.text()
    with urllib.request.urlopen(f"{address[1]}/api/overview", timeout=10) as answer:
        overview = json.load(answer)
    assert len(overview["rows"]) == 20
    assert overview["summary"]["state"] == "live"

    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(40) == 0
    assert "SYNTHETIC" in up.text()
    assert "candle received -> prediction readable" in up.text()
    assert up.commands() == []


@pytest.mark.parametrize(
    ("running", "number"),
    [("kafka.Kafka", signal.SIGINT), ("services.predictor", signal.SIGKILL)],
    ids=["interrupted while Kafka starts", "killed while services start"],
)
def test_ended_at_any_moment_it_leaves_no_process(
    up: UpProcess, running: str, number: signal.Signals
) -> None:
    eventually(lambda: any(running in command for command in up.commands()), 60)

    up.process.send_signal(number)

    up.process.wait(40)
    eventually(lambda: up.commands() == [], 20)
