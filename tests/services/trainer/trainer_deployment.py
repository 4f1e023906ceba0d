"""Topics with candles of three symbols, and trainers that work on them."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from services.trainer.pipeline import Trainer
from services.trainer.settings import TrainerSettings
from shared.adapters.kafka.producer import ProducerRecord
from shared.core.model.card import Bundle
from shared.core.topics import partition_for
from shared.local_servers.launcher import kill_with_parent
from shared.log.archive import Archive
from tests.support.builders import START_MS, STEP_MS, a_walk, candle_bytes
from tests.support.deployment import Deployment
from tests.support.waiting import eventually

SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT")
PARTITIONS = 2
CANDLES = 400
_SMALL = {"WINDOW_LENGTH": "16", "WIDTHS": "8", "MIN_CANDLES": "100", "ONLINE_RATE": "0.001"}


class TrainerDeployment(Deployment):
    """A deployment whose trainers make small models."""

    def trainer_settings(self, **environ: str) -> TrainerSettings:
        return TrainerSettings.from_env({**self.environ, **_SMALL, **environ})

    def train(self, **environ: str) -> Bundle:
        """Train in this process; return the version."""
        trainer = Trainer(self.trainer_settings(**environ), threading.Event())
        trainer.prepare()
        return trainer.train()

    @property
    def trainer_log(self) -> Path:
        """The log of the newest trainer that was started as a process."""
        return self.folder / "trainer.log"

    def start_trainer(self, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
        with self.trainer_log.open("w") as log:
            return subprocess.Popen(
                kill_with_parent([sys.executable, "-m", "services.trainer", *arguments]),
                env={**os.environ, **self.environ, **_SMALL, **environ},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def run_trainer(self, *arguments: str, **environ: str) -> tuple[int, str, str]:
        """Run a trainer to its end; return exit code, output and log."""
        process = self.start_trainer(*arguments, **environ)
        out, _ = process.communicate(timeout=100)
        return process.returncode, out, self.trainer_log.read_text()

    def candle(self, symbol: str, at: int, close: float) -> ProducerRecord:
        partition = partition_for(symbol, PARTITIONS)
        value = candle_bytes(at, symbol, f"{close:.6f}")
        return ProducerRecord(
            self.topics.klines, partition, symbol.encode(), value, START_MS + at * STEP_MS
        )

    def fill(self) -> None:
        """Write CANDLES candles of each symbol, and wait until they can be read."""
        walks = {symbol: a_walk(CANDLES, seed) for seed, symbol in enumerate(SYMBOLS)}
        records = [
            self.candle(s, at, walk[at]) for at in range(CANDLES) for s, walk in walks.items()
        ]
        self.write(records)
        archive = Archive(self.kafka, self.topics)
        eventually(lambda: sum(archive.ends().values()) >= len(records))
