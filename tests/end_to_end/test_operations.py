"""The commands of docs/operations.md, run as they stand there on servers of their own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.adapters.kafka.connection import KafkaConnection
from shared.core.model.numeric_profile import self_test
from shared.local_servers.programs import free_port
from tests.support.builders import START_MS, a_bundle, interleaved_candles
from tests.support.deployment import Deployment
from tests.support.imports import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end, pytest.mark.slow]

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT"]
COMMAND = re.compile(r"^    ((?:[A-Z_]+=\S+ )*(?:ulstm|tar|mv) .*)$", re.MULTILINE)


def commands(heading: str) -> list[str]:
    """Return the commands of a section that need no Docker, in their order."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return COMMAND.findall(section)


@dataclass(frozen=True)
class Shell:
    """Runs commands in a folder, with servers on ports that are free."""

    folder: Path
    kafka_port: int
    redis_port: int

    def run(self, line: str, **words: str) -> str:
        """Run a command of the page; return what it printed.

        Args:
            line: as it stands there.
            words: what stands for another in it, such as the VERSION of a model.
        """
        ports = f" --kafka-port {self.kafka_port} --redis-port {self.redis_port}"
        line = re.sub(r"^ulstm servers start$", lambda found: found[0] + ports, line)
        line = line.replace("127.0.0.1:9092", f"127.0.0.1:{self.kafka_port}")
        for word, value in words.items():
            line = line.replace(word, value)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    def run_section(self, heading: str, **words: str) -> list[str]:
        """Run the commands of a section; return what each printed."""
        return [self.run(line, **words) for line in commands(heading)]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path, free_port(), free_port())
    try:
        yield shell
    finally:
        shell.run("ulstm servers stop")


def a_deployment(shell: Shell, prefix: str = "", partitions: int = 6) -> Deployment:
    kafka = KafkaConnection(f"127.0.0.1:{shell.kafka_port}")
    redis = f"redis://127.0.0.1:{shell.redis_port}/0"
    return Deployment(kafka, redis, prefix, shell.folder, partitions)


def predict(deployment: Deployment, start: int, stop: int) -> None:
    """Publish candles, let a predictor predict from them, and stop it."""
    predictor = deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, start, stop))
    deployment.await_predictions(SYMBOLS, stop - 1)
    assert predictor.kill(signal.SIGTERM) == 0


def write_history(folder: Path) -> None:
    """Write a file of candles in the form of the exchange's dumps."""
    folder.mkdir()
    opens = range(1_700_000_100_000, 1_700_006_100_000, 300_000)
    rows = [f"{at},10,11,9,10.5,7,{at + 299_999},70,3,4,40,0" for at in opens]
    (folder / "BNBUSDT-5m-2023-11.csv").write_text("\n".join(rows), encoding="utf-8")


@pytest.mark.timeout(400)
def test_the_page_can_be_followed_from_its_beginning_to_its_end(shell: Shell) -> None:
    # Start.
    start, status = (c for c in commands("Start and stop") if c.startswith("ulstm servers"))
    shell.run(start)
    assert str(shell.kafka_port) in shell.run(status)
    with a_deployment(shell) as deployment:
        deployment.publish(interleaved_candles(SYMBOLS, 0, 20))
        first, second = deployment.release(1), deployment.release(2)
        predict(deployment, 20, 25)
        shell.run_section("See whether it is well")

        # Back up, lose everything, restore.
        published = deployment.predictions_sha256()
        shell.run_section("Back up the log, and restore it")
        assert deployment.predictions_sha256() == published
        predict(deployment, 25, 27)

        # Other symbol groups, another Kafka.
        copies = [c for c in commands("More symbol groups") if "copy" in c]
        looks = [c for c in commands("More symbol groups") if "copy" not in c]
        shell.run(copies[0])
        deployment.publish(interleaved_candles(SYMBOLS, 27, 28))
        deployment.await_settled(deployment.topics.klines, 0)
        assert "complete" in shell.run(copies[1])
        with a_deployment(shell, "wide.", 12) as wide:
            predict(wide, 28, 31)
        assert second in shell.run(looks[0])
        shell.run(looks[1])
        assert "complete" in "".join(shell.run_section("Copy the log to another Kafka"))

        # History, another model, a promotion whose version never comes.
        write_history(shell.folder / "candles")
        assert "imported 20 candles" in shell.run_section("Take in history")[0]
        listing, rollback, withdraw = commands("Change the model")
        assert second in shell.run(listing)
        assert first in shell.run(rollback)
        lost = a_bundle(seed=9)
        records = deployment.registry.promotions.to_records(lost, self_test(), START_MS)
        deployment.write(records)
        shell.run(withdraw, VERSION=lost.version)
        predict(deployment, 28, 30)
        found = deployment.predictions()
        assert {found[symbol][-1].model_version for symbol in SYMBOLS} == {first}
        shell.run("ulstm verify")
