"""A deployment of its own on the test session's Kafka and Redis: real topics, real predictor processes."""

import hashlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Self

from rich.console import Console

from services.cli.replay import OpenTimes, replay
from shared.adapters.bundle_codec import version_of
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.kafka.tail import TopicTail
from shared.adapters.schemas import decode_prediction
from shared.core.model.card import Card
from shared.core.online.prediction import Prediction
from shared.core.topics import partition_for
from shared.local_servers.launcher import bound_to_parent, free_port
from shared.log.model_registry import ModelRegistry
from tests.support.builders import START_MS, STEP_MS, a_card, a_walk, bundle_bytes, candle_bytes
from tests.support.waiting import eventually

GROUPS = 3


@dataclass
class Replica:
    """A predictor process."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal it, wait for its end, return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(15)

    def text(self) -> str:
        return self.log.read_text()

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (OSError, HTTPException) as error:  # not there, or gone while it answered
            return 0, str(error)


@dataclass
class Stack:
    kafka: str
    redis: str
    prefix: str
    folder: Path
    replicas: list[Replica] = field(default_factory=list)

    def __enter__(self) -> Self:
        ensure_topics(self.kafka, self.settings.topics)
        return self

    def __exit__(self, *_: object) -> None:
        for replica in self.replicas:
            replica.kill()

    @property
    def environ(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "REDIS_URL": self.redis,
            "TOPIC_PREFIX": self.prefix,
            "SYMBOL_GROUPS": str(GROUPS),
            "SESSION_TIMEOUT_MS": "6000",
        }

    @property
    def settings(self) -> ServiceSettings:
        return ServiceSettings.from_env(self.environ)

    def predictor(self, **environ: str) -> Replica:
        return self.spawn("predictor", "services.predictor", **environ)

    def spawn(self, name: str, module: str, *arguments: str, **environ: str) -> Replica:
        """Run a module as a process that ends with this one, however that ends."""
        port = free_port()
        log = self.folder / f"{name}-{len(self.replicas)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                bound_to_parent([sys.executable, "-m", module, *arguments]),
                env={**os.environ, **self.environ, "METRICS_PORT": str(port), **environ},
                stderr=file,
                stdout=file,
            )
        replica = Replica(process, log, port)
        self.replicas.append(replica)
        return replica

    def publish(self, values: Sequence[tuple[str, bytes]], group: int | None = None) -> None:
        """Write (symbol, bytes) records, each to its symbol's group, in one transaction."""
        writer = TransactionalProducer(self.kafka, f"{self.prefix}test-writer")
        topic = self.settings.topics.klines
        writer.write(
            [
                ProducerRecord(
                    topic,
                    partition_for(s, GROUPS) if group is None else group,
                    s.encode(),
                    value,
                    START_MS,
                )
                for s, value in values
            ]
        )
        writer.close()

    def promote(self, seed: int = 1, card: Card | None = None) -> str:
        card = card or a_card()
        data = bundle_bytes(seed, card)
        version = version_of(card, data)
        ModelRegistry(self.kafka, self.settings.topics).release(
            data, version, START_MS, promote=True
        )
        return version

    def read(self, topic: str, groups: int = GROUPS) -> Iterator[ConsumerRecord]:
        with Reader(self.kafka, topic) as reader:
            for group in range(groups):
                for block in reader.read(group, 0):
                    yield from block

    def predictions(self) -> dict[str, list[Prediction]]:
        """By symbol, in order."""
        found: dict[str, list[Prediction]] = defaultdict(list)
        for record in self.read(self.settings.topics.predictions):
            prediction = decode_prediction(record.value)
            found[prediction.symbol].append(prediction)
        return found

    def dead_letters(self) -> list[ConsumerRecord]:
        return list(self.read(self.settings.topics.dead_letters, groups=1))

    def dead_letter_headers(self) -> list[dict[str, bytes]]:
        letters = len(self.dead_letters())
        with TopicTail(self.kafka, [self.settings.topics.dead_letters], tail=2**31) as follower:
            found: list[dict[str, bytes]] = []
            while len(found) < letters:
                found += [arrived.headers for arrived in follower.poll(1000, 1.0)]
        return found

    def awaits(
        self, symbols: Sequence[str], at: int, deadline_s: float = 60.0
    ) -> dict[str, list[Prediction]]:
        """Wait until each symbol's last prediction is the one made from the candle `at`."""
        wanted = START_MS + (at + 1) * STEP_MS

        def arrived() -> bool:
            found = self.predictions()
            return all(found[s] and found[s][-1].open_time_ms >= wanted for s in symbols)

        eventually(arrived, deadline_s)
        return self.predictions()

    def replay_agrees(self) -> bool:
        replays = replay(self.settings, OpenTimes(), None, Console(stderr=True, quiet=True))
        return all(replayed.is_same and not replayed.not_published_yet for replayed in replays)

    def digest(self) -> str:
        """One digest over keys and values of all predictions, by group."""
        bits = hashlib.sha256()
        for record in self.read(self.settings.topics.predictions):
            bits.update((record.key or b"") + b"\0" + (record.value or b"") + b"\n")
        return bits.hexdigest()


def rows(symbols: Sequence[str], start: int, stop: int) -> list[tuple[str, bytes]]:
    """Candles of several symbols, interleaved by time."""
    walks = {s: a_walk(stop, seed=i) for i, s in enumerate(symbols)}
    return [
        (s, candle_bytes(at, s, f"{walks[s][at]:.6f}"))
        for at in range(start, stop)
        for s in symbols
    ]
