"""A deployment on a real Kafka and a real Redis: topics under a prefix, services as processes."""

import hashlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Final, Self

from rich.console import Console

from services.cli.commands.replay import ALL_TIMES, replay
from shared.adapters.bundle_codec import version_of
from shared.adapters.env_settings import PredictorGroupSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.backwards_reader import await_settled
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.core.model.card import Card
from shared.core.online.prediction import Prediction
from shared.core.topics import Topics, partition_for
from shared.local_servers.launcher import kill_with_parent
from shared.local_servers.programs import free_port
from shared.log.model_registry import ModelRegistry
from shared.log.published_predictions import UnreadableRecords, decode_predictions
from tests.support.builders import START_MS, STEP_MS, a_card, bundle_bytes
from tests.support.waiting import eventually

PARTITIONS: Final = 3
STOP_S: Final = 30.0
CLI_S: Final = 100.0


@lru_cache
def _parse_settings(environ: tuple[tuple[str, str], ...]) -> PredictorGroupSettings:
    """Parse the settings of a deployment once: a record that is written asks for its topic."""
    return PredictorGroupSettings.from_env(dict(environ))


@dataclass
class Replica:
    """A running copy of a service: its process, its log, the port of its health and metrics."""

    process: "subprocess.Popen[bytes]"
    log: Path
    port: int
    started_s: float  # on the monotonic clock

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal, wait for the end of the process, return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_S)

    def log_text(self) -> str:
        return self.log.read_text()

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body; status 0 if nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (OSError, HTTPException) as error:
            return 0, str(error)

    def is_ready(self) -> bool:
        return self.get("/health/ready")[0] == 200

    def metric(self, name: str) -> float:
        """Return the value of a metric without labels; 0 while there is none."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        return 0.0


@dataclass
class Deployment:
    """Topics under a prefix of their own, and the processes that work on them."""

    kafka: KafkaConnection
    redis_url: str
    prefix: str
    folder: Path
    partitions: int = PARTITIONS
    replicas: list[Replica] = field(default_factory=list)
    own_environ: Mapping[str, str] = field(default_factory=dict)  # beside the usual settings

    def __enter__(self) -> Self:
        ensure_topics(self.kafka, self.topics)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_replicas()

    # --- settings ---------------------------------------------------------------------------------

    @property
    def environ(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": str(self.kafka),
            "REDIS_URL": self.redis_url,
            "TOPIC_PREFIX": self.prefix,
            "SYMBOL_GROUPS": str(self.partitions),
            **self.own_environ,
        }

    @property
    def settings(self) -> PredictorGroupSettings:
        return _parse_settings(tuple(self.environ.items()))

    @property
    def topics(self) -> Topics:
        return self.settings.topics

    @cached_property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(self.kafka, self.topics)

    # --- processes --------------------------------------------------------------------------------

    def start_predictor(self, **environ: str) -> Replica:
        return self.start("services.predictor", **environ)

    def start(self, module: str, *arguments: str, **environ: str) -> Replica:
        """Run a module as a process; it ends with this one, however that ends."""
        port = free_port()
        log = self.folder / f"{self.prefix}{module}-{len(self.replicas)}.log"
        started_s = monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                kill_with_parent([sys.executable, "-m", module, *arguments]),
                env={**os.environ, **self.environ, "METRICS_PORT": str(port), **environ},
                stdout=output,
                stderr=output,
            )
        replica = Replica(process, log, port, started_s)
        self.replicas.append(replica)
        return replica

    def kill_replicas(self, number: signal.Signals = signal.SIGKILL) -> None:
        for replica in self.replicas:
            replica.kill(number)
        self.replicas.clear()

    def ulstm(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the CLI to its end."""
        return subprocess.run(
            [sys.executable, "-m", "services.cli", *arguments],
            env={**os.environ, **self.environ, "COLUMNS": "160", **environ},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=CLI_S,
            check=False,
        )

    # --- writing ----------------------------------------------------------------------------------

    def write(self, records: Iterable[ProducerRecord], batch: int = 5_000) -> None:
        """Write records, a transaction for each batch of them."""
        records = iter(records)
        writer = TransactionalProducer(self.kafka, f"{self.prefix}test-writer")
        try:
            while block := list(islice(records, batch)):
                writer.write(block)
        finally:
            writer.close()

    def publish(self, values: Sequence[tuple[str, bytes]], partition: int | None = None) -> None:
        """Write (symbol, bytes) to `klines`, each to its symbol's partition unless one is given."""
        self.write(
            ProducerRecord(
                self.topics.klines,
                partition_for(symbol, self.partitions) if partition is None else partition,
                symbol.encode(),
                value,
                START_MS,
            )
            for symbol, value in values
        )

    def release(self, seed: int = 1, card: Card | None = None, *, promote: bool = True) -> str:
        """Publish a model with random weights, promote it, return its version."""
        card = card or a_card()
        data = bundle_bytes(seed, card)
        version = version_of(card, data)
        self.registry.release(data, version, START_MS, promote=promote)
        return version

    # --- reading ----------------------------------------------------------------------------------

    def await_settled(self, topic: str, partition: int) -> None:
        """Wait until everything that was committed can be read."""
        with Reader(self.kafka, topic) as reader:
            await_settled(reader, [partition])

    def read(self, topic: str, partitions: Iterable[int] | None = None) -> list[ConsumerRecord]:
        """Return all records with their headers, one partition after another."""
        chosen = range(self.partitions) if partitions is None else partitions
        with Reader(self.kafka, topic, headers=True) as reader:
            return [record for p in chosen for block in reader.read(p, 0) for record in block]

    def predictions(self) -> dict[str, list[Prediction]]:
        """Return predictions by symbol, in order, without foreign records."""
        found: dict[str, list[Prediction]] = defaultdict(list)
        topic = self.topics.predictions
        for _, prediction in decode_predictions(topic, self.read(topic), UnreadableRecords()):
            found[prediction.symbol].append(prediction)
        return found

    def dead_letters(self) -> list[ConsumerRecord]:
        return self.read(self.topics.dead_letters, [0])

    def await_predictions(
        self, symbols: Sequence[str], at: int, deadline_s: float = 60.0
    ) -> dict[str, list[Prediction]]:
        """Wait until each symbol's last prediction is the one made from candle number `at`."""
        wanted_ms = START_MS + (at + 1) * STEP_MS
        found: dict[str, list[Prediction]] = {}

        def have_arrived() -> bool:
            found.update(self.predictions())
            return all(s in found and found[s][-1].open_time_ms >= wanted_ms for s in symbols)

        eventually(have_arrived, deadline_s)
        return found

    def replay_agrees(self) -> bool:
        """Tell whether a replay of the log gives every published prediction, to the byte."""
        replays = replay(self.settings, ALL_TIMES, None, Console(stderr=True, quiet=True))
        return all(replayed.is_same and not replayed.not_published_yet for replayed in replays)

    def predictions_sha256(self) -> str:
        """Return one digest over keys and values of all predictions, by partition."""
        digest = hashlib.sha256()
        for record in self.read(self.topics.predictions):
            digest.update((record.key or b"") + b"\0" + (record.value or b"") + b"\n")
        return digest.hexdigest()
