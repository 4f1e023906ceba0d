"""A deployment to measure: the tests' deployment with the default settings of production."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic, sleep, time
from typing import Final

from benchmarks.machine import processor_s
from benchmarks.market import START_MS, STEP_MS, candles_by_time
from benchmarks.models import BenchmarkModel
from shared.adapters.kafka.producer import ProducerRecord
from shared.core.topics import partition_for
from shared.local_servers import launcher
from shared.log.kline_writer import KlineWriter
from tests.support.deployment import Deployment
from tests.support.waiting import eventually

LONGEST_S: Final = 600.0
_BATCH: Final = 5_000  # records of a transaction
# A look at the metrics costs a predictor 3 ms: 50 of them a second were a sixth of a catch-up.
POLL_S: Final = 0.1

until = partial(eventually, deadline_s=LONGEST_S, poll_interval_s=POLL_S)


@dataclass(frozen=True, slots=True)
class BenchmarkOptions:
    """The options of a benchmark run."""

    is_full: bool
    yardstick: Path | None  # the source of limit.cc, which is not part of this project
    recorded: Path | None  # a folder of recorded klines
    folder: Path
    report_progress: Callable[[str], None]

    @contextmanager
    def deployments(self) -> Iterator[Callable[[str], "BenchmarkDeployment"]]:
        """Start a Kafka and a Redis for one group of rows, so that none finds another's records.

        Yields the function that returns a deployment on them, given the prefix of its topics.
        """
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            self.report_progress("starting Kafka and Redis")
            with launcher.start(Path(folder), die_with_parent=True) as running:
                kafka, redis = running.servers.kafka, running.servers.redis_url
                yield lambda prefix: BenchmarkDeployment(kafka, redis, prefix, self.folder)


class BenchmarkDeployment(Deployment):
    """Topics under a prefix of their own, on which everything is a default."""

    @property
    def environ(self) -> dict[str, str]:
        """Return the settings that the services get; everything else is their default."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": str(self.kafka),
            "REDIS_URL": self.redis_url,
            "TOPIC_PREFIX": self.prefix,
            "LOG_LEVEL": "WARNING",
        }

    def write_candles(self, symbols: int, start: int, stop: int, *, source: str = "rest") -> None:
        """Write candles `start` up to `stop` of this many symbols, ordered by time.

        Their headers are those of a producer that gets them from `source` now.
        """
        topics, now_ms = self.topics, str(int(time() * 1000))
        headers = [("source", source.encode()), ("arrival_ms", now_ms.encode())]
        records = (
            ProducerRecord(
                topics.klines,
                partition_for(symbol, topics.partitions),
                symbol.encode(),
                value,
                _close_time_ms(at),
                headers,
            )
            for at, symbol, value in candles_by_time(symbols, start, stop)
        )
        with closing(KlineWriter(self.kafka, topics)) as writer:
            while batch := list(islice(records, _BATCH)):
                writer.write(batch)

    def release_model(
        self, model: BenchmarkModel, at: int, *, promote: bool = True, symbols: int = 0
    ) -> str:
        """Publish a model, and promote it before candle `at`, with the starts of some symbols."""
        version, data = model.encoded(model.starts(symbols, at))
        self.registry.release(data, version, _close_time_ms(at - 1), promote=promote)
        return version

    def await_live(self) -> float:
        """Wait until every partition is live at a replica; return the moment (monotonic, s)."""
        until(lambda: self.total("groups") == self.topics.partitions)
        return monotonic()

    def await_folded(self, candles: int) -> None:
        """Wait until the replicas have folded this many candles, and have nothing left to do."""
        until(lambda: self.total("candles_total") >= candles)
        self.await_idle()

    def await_idle(self) -> None:
        """Wait until the replicas use next to no processor time."""

        def are_idle() -> bool:
            used_s = self.processor_s()
            sleep(1.0)
            return self.processor_s() - used_s < 0.05

        until(are_idle)

    def processor_s(self) -> float:
        """Return the processor time that the replicas have used so far."""
        return sum(processor_s(replica.process.pid) for replica in self.replicas)

    def total(self, name: str) -> float:
        """Return the sum of a metric over the replicas."""
        return sum(replica.metric(f"ulstm_predictor_{name}") for replica in self.replicas)


def _close_time_ms(at: int) -> int:
    return START_MS + (at + 1) * STEP_MS - 1
