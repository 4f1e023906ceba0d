"""A deployment with a publisher and a consumer beside it, whose processes a test strikes."""

import contextlib
import re
import signal
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

from shared.adapters.kafka.connection import KafkaConnection
from tests.chaos.downstream_consumer import DownstreamConsumer
from tests.chaos.market import ChaosMarket, Publisher, rounds_of
from tests.support.deployment import PARTITIONS, Deployment, Replica
from tests.support.waiting import eventually

SLOTS: Final = 3  # replicas at most
USUAL: Final = (0, 1)  # the slots of the replicas that run between faults
WARM_UP: Final = 20  # rounds before the first promotion
STOP_S: Final = 20.0  # a replica has to end within this time after SIGTERM


class Stuck(Exception):
    """Raised when the system does not recover in time."""


class WatchedDeployment(ABC):
    """A deployment on servers of its own.

    A replica that ends by itself is started again, as a supervisor in production would do.
    """

    deployment: Deployment
    publisher: Publisher
    consumer: DownstreamConsumer

    def __init__(self, folder: Path, seed: int, pace_s: float) -> None:
        self.folder, self._seed, self._pace_s = folder, seed, pace_s
        self.exits: Counter[str] = Counter()  # replicas that ended by themselves, by last log line
        self.wrong: list[str] = []
        self._slots: dict[int, Replica] = {}
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._undo as undo:
            self.deployment = undo.enter_context(self._start_servers(undo))
            self._start_traffic(undo)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @abstractmethod
    def _start_servers(self, undo: contextlib.ExitStack) -> Deployment:
        """Start the servers; return the deployment on them."""

    @abstractmethod
    def restart_ended_servers(self) -> None:
        """Start servers again that ended by themselves."""

    @property
    def _market_kafka(self) -> KafkaConnection:
        """How the publisher of candles reaches Kafka."""
        return self.deployment.kafka

    def _replica_environ(self, slot: int) -> dict[str, str]:
        """Return the settings of the replica of a slot that differ from the deployment's."""
        return {}

    def _start_traffic(self, undo: contextlib.ExitStack) -> None:
        """Publish candles and read predictions, each in a thread; start the usual replicas."""
        topics = self.deployment.topics
        self.publisher = Publisher(
            self._market_kafka, topics, rounds_of(ChaosMarket(self._seed, topics)), self._pace_s
        )
        self.publisher.publish_some(WARM_UP)
        self.deployment.release()
        self.consumer = DownstreamConsumer(self.deployment.kafka, topics.predictions, PARTITIONS)
        self.consumer.start()
        undo.callback(self.consumer.stop)
        self.publisher.start()
        undo.callback(self.publisher.stop)
        for slot in USUAL:
            self.start(slot)

    @property
    def running(self) -> list[int]:
        return sorted(self._slots)

    def start(self, slot: int) -> None:
        """Start the replica of a slot, unless it runs."""
        if slot not in self._slots:
            self._slots[slot] = self.deployment.start_predictor(**self._replica_environ(slot))

    def signal(self, slot: int, number: signal.Signals) -> None:
        replica = self._slots.get(slot)
        if replica is not None and replica.process.poll() is None:
            replica.process.send_signal(number)

    def kill(self, slot: int) -> None:
        replica = self._slots.pop(slot, None)
        if replica is not None:
            replica.kill()

    def stop(self, slot: int) -> Iterator[float]:
        """Send SIGTERM to a replica; it must end with exit code 0."""
        replica = self._slots.pop(slot, None)
        if replica is None or replica.process.poll() is not None:
            return
        replica.process.send_signal(signal.SIGTERM)
        ends = time.monotonic() + STOP_S
        while replica.process.poll() is None and time.monotonic() < ends:
            yield 0.05
        if replica.process.poll() != 0:
            self.wrong.append(
                f"{replica.log.name}: exit code {replica.process.poll()} after SIGTERM"
                " (None: it still runs)"
            )
            replica.kill()

    def supervise(self) -> None:
        """Restart processes that ended by themselves; raise errors of our own threads."""
        self.publisher.check()
        self.consumer.check()
        self.restart_ended_servers()
        for slot, replica in list(self._slots.items()):
            code = replica.process.poll()
            if code is not None:
                self.exits[f"exit code {code}: {_last_log_line(replica)}"] += 1
                del self._slots[slot]
                self.start(slot)

    def wait_until(self, until: float) -> None:
        """Supervise until a moment on the monotonic clock."""
        while (left := until - time.monotonic()) > 0:
            self.supervise()
            time.sleep(min(left, 0.1))

    def await_recovered(self, deadline_s: float) -> None:
        """Wait until new candles of every symbol are predicted and all partitions are assigned.

        Raises:
            Stuck: that does not happen in time.
        """
        since = dict(self.publisher.newest)
        ends = time.monotonic() + deadline_s

        def describe() -> str:
            counts = self._assigned_counts()
            return f"no predictions of {self._behind(since)}, partitions by replica {counts}"

        self._eventually(self._all_assigned, deadline_s, describe)
        self._eventually(self.recovered_from_now(), ends - time.monotonic(), describe)

    def recovered_from_now(self) -> Callable[[], bool]:
        """Return a condition: later candles are predicted and all partitions are assigned."""
        due = dict(self.publisher.newest)
        return lambda: not self._behind(due) and self._all_assigned()

    def await_all(self, deadline_s: float) -> None:
        """Wait for the predictions of the last candles.

        Raises:
            Stuck: they do not come in time.
        """
        self._eventually(
            lambda: self.publisher.due <= self.consumer.seen_at.keys(),
            deadline_s,
            lambda: "the last candles",
        )

    def _behind(self, due: dict[str, int]) -> list[str]:
        return [
            symbol
            for symbol, time_ms in due.items()
            if self.consumer.newest.get(symbol, 0) <= time_ms
        ]

    def _all_assigned(self) -> bool:
        shares = self._assigned_counts()
        return sum(shares) == PARTITIONS and min(shares) > 0

    def _assigned_counts(self) -> list[int]:
        return [_partition_count(replica) for replica in self._slots.values()]

    def _eventually(
        self, condition: Callable[[], bool], deadline_s: float, describe: Callable[[], str]
    ) -> None:
        def is_true() -> bool:
            self.supervise()
            return condition()

        try:
            eventually(is_true, deadline_s)
        except TimeoutError:
            raise Stuck(f"after {deadline_s:g} s still: {describe()}") from None


def _partition_count(replica: Replica) -> int:
    return int(replica.metric("ulstm_predictor_groups"))


def _last_log_line(replica: Replica) -> str:
    lines = replica.log_text().strip().splitlines() or ["nothing"]
    text = re.sub(r"^[-0-9]+ [:,0-9]+ ", "", lines[-1])
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]{4,}", "…", text)[:200]
