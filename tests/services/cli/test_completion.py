"""What a shell completes: from the log within a second, or nothing at all."""

import os
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer

from services.cli.completion import (
    ANSWER_S,
    complete_symbol,
    complete_symbols,
    complete_version,
)
from tests.support.builders import interleaved_candles
from tests.support.deployment import Deployment


@pytest.fixture(autouse=True)
def no_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where no `ulstm servers` run."""
    monkeypatch.chdir(tmp_path)


def a_context(environ: dict[str, str]) -> typer.Context:
    root: Any = SimpleNamespace(obj=environ)
    root.find_root = lambda: root
    return cast(typer.Context, root)


@pytest.mark.integration
def test_symbols_and_versions_of_the_log_are_completed(deployment: Deployment) -> None:
    deployment.publish(interleaved_candles(["BTCUSDT", "BNBUSDT", "ETHUSDT"], 0, 3))
    deployment.publish([("\x1b[2J", b"foreign"), ("B\x07", b"")])
    first, second = deployment.release(1), deployment.release(2)
    context = a_context(deployment.environ)

    assert complete_symbol(context, "b") == ["BNBUSDT", "BTCUSDT"]
    assert complete_symbols(context, "ETHUSDT,bt") == ["ETHUSDT,BTCUSDT"]
    assert sorted(complete_version(context, "")) == sorted([first, second])
    assert complete_version(context, second) == [second]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"INTERVAL": "nonsense"},
        {"KAFKA_BOOTSTRAP_SERVERS": "nonsense:x"},
        {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
    ],
)
def test_without_a_broker_nothing_is_completed_and_nothing_is_said(
    environ: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    environ = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", **environ}

    assert complete_symbol(a_context(environ), "") == []
    assert complete_version(a_context(environ), "") == []
    assert capfd.readouterr() == ("", "")


def test_a_server_that_never_answers_is_left_after_a_moment() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        environ = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{silent.getsockname()[1]}"}
        began = time.monotonic()
        assert complete_symbol(a_context(environ), "") == []

    assert ANSWER_S < 1.0
    assert time.monotonic() - began < 2.5  # on a busy machine


def test_the_shell_gets_commands_and_an_end_where_no_broker_answers() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        found = {
            line: subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "from services.cli.__main__ import app; app(prog_name='ulstm')",
                ],
                env={
                    **os.environ,
                    "PYTHONPATH": str(Path(__file__).parents[3]),
                    "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{silent.getsockname()[1]}",
                    "_ULSTM_COMPLETE": "complete_bash",
                    "COMP_WORDS": line,
                    "COMP_CWORD": str(len(line.split()) - 1),
                },
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            for line in ("ulstm mod", "ulstm models sh", "ulstm predict BT")
        }

    assert [one.stdout.split() for one in found.values()] == [["models"], ["show"], []]
    assert {one.stderr for one in found.values()} == {""}
