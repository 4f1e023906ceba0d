import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.core.errors import Unavailable
from shared.local_servers import binaries
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

LINE = re.compile(r"([1-9][0-9]*) predictions of 20 symbols")


@dataclass
class Up:
    """`ulstm up` as a process; it and all its children carry a mark in their environment."""

    process: subprocess.Popen[bytes]
    mark: str
    output: Path

    def text(self) -> str:
        return " ".join(self.output.read_text().split())

    def left(self) -> list[str]:
        """Processes that carry the mark."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # it has ended, or is not ours
                continue
        return found


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    try:
        binaries.kafka_class_path()
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    mark, output = uuid.uuid4().hex, tmp_path / "output.txt"
    # The tests may be a background job, which ignores SIGINT, and so would its children; at a terminal nobody does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "up"],
            env={**os.environ, "ULSTM_TEST_MARK": mark, "COLUMNS": "200"},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    yield Up(process, mark, output)
    process.kill()
    process.wait()


def test_the_demo_predicts_twenty_symbols_and_ends_in_order_with_a_summary(up: Up) -> None:
    eventually(lambda: LINE.search(up.text()) or up.process.poll() is not None, 110)
    assert LINE.search(up.text()), up.text()

    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(40) == 0
    assert "SYNTHETIC" in up.text()
    assert "candle received -> prediction readable" in up.text()
    assert up.left() == []


@pytest.mark.parametrize("after_s", [0.3, 1.5, 5.0, 9.0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_at_any_moment_it_leaves_no_process(
    up: Up, after_s: float, number: signal.Signals
) -> None:
    begun = time.monotonic()
    eventually(lambda: time.monotonic() - begun > after_s)

    up.process.send_signal(number)

    up.process.wait(40)
    eventually(lambda: up.left() == [], 20)
