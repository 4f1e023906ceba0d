"""`ulstm dashboard` as a process; nothing listens where it looks for Kafka."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.local.page_address import choose_port, has_display, is_listening, page_address
from tests.support.servers import reserve_port
from tests.support.waiting import eventually

ADDRESS = re.compile(r"Live page: (http://127\.0\.0\.1:[0-9]+)")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output.txt"


@pytest.fixture
def command(output: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "dashboard", "--port", "0", "--no-open"],
            env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    yield process
    process.kill()
    process.wait()


def test_it_prints_an_address_that_can_be_opened_and_ends_in_order(
    command: "subprocess.Popen[bytes]", output: Path
) -> None:
    eventually(lambda: ADDRESS.search(output.read_text()) or command.poll() is not None)
    found = ADDRESS.search(output.read_text())
    assert found, output.read_text()

    with urllib.request.urlopen(f"{found[1]}/", timeout=10) as answer:
        assert b"<!doctype html>" in answer.read()

    command.send_signal(signal.SIGTERM)
    assert command.wait(20) == 0


def test_the_port_is_the_given_one_or_one_that_is_free() -> None:
    assert choose_port({"DASHBOARD_PORT": "9999"}) == 9999
    chosen = choose_port({"DASHBOARD_PORT": "0"})
    assert chosen > 0
    assert not is_listening(chosen)
    assert page_address(chosen) == f"http://127.0.0.1:{chosen}"


def test_a_port_on_which_nothing_listens_is_told_apart() -> None:
    assert not is_listening(reserve_port())


@pytest.mark.parametrize(
    ("environ", "platform", "is_there"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, "darwin", False),
    ],
)
def test_a_browser_is_opened_only_where_it_can_show_a_window(
    environ: dict[str, str], platform: str, is_there: bool
) -> None:
    assert has_display(environ, platform) is is_there
