"""A deployment of its own on local servers: topics, history, predictor processes."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import monotonic, sleep
from typing import Final, Self

from benchmarks.machine import cpu_s
from benchmarks.market import START_MS, STEP_MS, bundle_bytes, closing
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.core.model.architecture import Architecture
from shared.core.topics import partition_for
from shared.local_servers.launcher import Servers, bound_to_parent, free_port
from shared.log.model_registry import ModelRegistry

BATCH: Final = 5_000  # records of one transaction of history
LONGEST_S: Final = 600.0
LOOK_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Replica:
    """A predictor process, or another one that serves health and metrics."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path
    started: float  # on the monotonic clock, s

    def is_ready(self) -> bool:
        return self._get("/health/ready")[0] == 200

    def measure(self, name: str) -> int:
        """Return what a predictor's metric says; 0 while there is none."""
        lines = self._get("/metrics")[1].splitlines()
        return next(
            (
                int(float(line.split()[1]))
                for line in lines
                if line.startswith(f"ulstm_predictor_{name} ")
            ),
            0,
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def _get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""
        except (urllib.error.URLError, OSError):
            return 0, ""


@dataclass
class Site:
    """Topics under a prefix of their own."""

    servers: Servers
    prefix: str
    folder: Path
    replicas: list[Replica] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        """What the services are told; everything else is their default."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.servers.kafka_bootstrap,
            "REDIS_URL": self.servers.redis_url,
            "TOPIC_PREFIX": self.prefix,
            "LOG_LEVEL": "WARNING",
        }

    @property
    def settings(self) -> ServiceSettings:
        return ServiceSettings.from_env(self.environ)

    def __enter__(self) -> Self:
        ensure_topics(self.servers.kafka_bootstrap, self.settings.topics)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_replicas()

    def write(self, symbols: int, start: int, stop: int) -> None:
        """Write candles `start` up to `stop` of so many symbols, by time, in transactions."""
        topics = self.settings.topics
        records = (
            ProducerRecord(
                topics.klines,
                partition_for(symbol, topics.partitions),
                symbol.encode(),
                value,
                _closes_ms(at),
            )
            for at, symbol, value in closing(symbols, start, stop)
        )
        self.write_records(records, BATCH)

    def write_records(self, records: Iterable[ProducerRecord], batch: int) -> None:
        records = iter(records)
        writer = TransactionalProducer(self.servers.kafka_bootstrap, f"{self.prefix}bench")
        try:
            while block := list(islice(records, batch)):
                writer.write(block)
        finally:
            writer.close()

    def release(self, architecture: Architecture, at: int, *, promote: bool = True) -> str:
        """Publish a model, and promote it before candle `at`."""
        version, data = bundle_bytes(architecture)
        topics = self.settings.topics
        ModelRegistry(self.servers.kafka_bootstrap, topics).release(
            data, version, _closes_ms(at - 1), promote=promote
        )
        return version

    def start_predictor(self) -> Replica:
        """Start a replica that ends with this process."""
        port = free_port()
        log = self.folder / f"{self.prefix}predictor-{len(self.replicas)}.log"
        started = monotonic()
        with log.open("wb") as file:
            process = subprocess.Popen(
                bound_to_parent([sys.executable, "-m", "services.predictor"]),
                env={**os.environ, **self.environ, "METRICS_PORT": str(port)},
                stdout=file,
                stderr=file,
            )
        replica = Replica(process, port, log, started)
        self.replicas.append(replica)
        return replica

    def await_live(self) -> float:
        """Wait until every symbol group is live at a replica; return the moment (monotonic, s)."""
        groups = self.settings.symbol_groups
        until(lambda: self._measured("groups") == groups)
        return monotonic()

    def await_folded(self, candles: int) -> None:
        """Wait until the replicas have folded so many candles in their lives, and have readied the states."""
        until(lambda: self._measured("candles_total") >= candles)
        self.await_quiet()

    def await_quiet(self) -> None:
        """Wait until the replicas have readied their states: they use next to no processor time then."""

        def is_idle() -> bool:
            used = self.processor_s()
            sleep(1.0)
            return self.processor_s() - used < 0.05

        until(is_idle)

    def processor_s(self) -> float:
        """Return the processor time that the replicas have used so far."""
        return sum(cpu_s(replica.process.pid) for replica in self.replicas)

    def _measured(self, name: str) -> int:
        return sum(replica.measure(name) for replica in self.replicas)

    def stop_replicas(self) -> None:
        for replica in self.replicas:
            replica.stop()
        self.replicas.clear()


def until(happened: Callable[[], bool]) -> None:
    """Wait for it.

    Raises:
        TimeoutError: it does not happen in ten minutes.
    """
    ends = monotonic() + LONGEST_S
    while not happened():
        if monotonic() > ends:
            message = f"waited {LONGEST_S:g} s in vain"
            raise TimeoutError(message)
        sleep(LOOK_S)


def _closes_ms(at: int) -> int:
    return START_MS + (at + 1) * STEP_MS - 1
