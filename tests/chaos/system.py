"""The system under faults: servers, links, replicas, a trainer, a publisher, a consumer."""

import contextlib
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

import redis

from shared.adapters.kafka.connection import KafkaConnection
from tests.chaos.downstream_consumer import DownstreamConsumer
from tests.chaos.market import ChaosMarket, Publisher, rounds_of
from tests.chaos.proxy import Link, Links
from tests.support import servers
from tests.support.deployment import PARTITIONS, Deployment, Replica
from tests.support.waiting import eventually

SLOTS: Final = 3  # replicas at most
USUAL: Final = (0, 1)  # the slots of the replicas that run between faults
WARM_UP: Final = 20  # rounds before the first promotion
STOP_S: Final = 20.0  # a replica has to end within this time after SIGTERM


class Stuck(Exception):
    """Raised when the system does not recover in time."""


class SystemUnderFaults:
    """A deployment that faults strike.

    A replica that ends by itself is started again, as a supervisor in production would do.
    """

    def __init__(self, folder: Path, seed: int, pace_s: float) -> None:
        self.folder, self._seed, self._pace_s = folder, seed, pace_s
        self.exits: Counter[str] = Counter()  # replicas that ended by themselves, by last log line
        self.wrong: list[str] = []
        self._slots: dict[int, Replica] = {}
        self._trainer: Replica | None = None
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._undo as undo:
            self._start(undo)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _start(self, undo: contextlib.ExitStack) -> None:
        links = undo.enter_context(Links())
        ports = [servers.reserve_port() for _ in range(SLOTS + 1)]
        kafka_port, redis_port = servers.reserve_port(), servers.reserve_port()
        self.links = links
        self.market_link, *self.kafka_links = kafka_links = [
            links.link(port, kafka=True) for port in ports
        ]
        self.redis_links = [links.link(redis_port) for _ in self.kafka_links]
        pairs = [(port, link.port) for port, link in zip(ports, kafka_links, strict=True)]
        self.redis = undo.enter_context(
            servers.redis_server(self.folder / "redis-server", redis_port)
        )
        self.kafka = undo.enter_context(
            servers.kafka_behind_links(self.folder / "kafka-server", kafka_port, pairs)
        )
        where = KafkaConnection(f"127.0.0.1:{kafka_port}")
        url = f"redis://127.0.0.1:{redis_port}/0"
        self.deployment = undo.enter_context(Deployment(where, url, "chaos.", self.folder))
        topics = self.deployment.topics
        market = KafkaConnection(f"127.0.0.1:{self.market_link.port}")
        self.publisher = Publisher(
            market, topics, rounds_of(ChaosMarket(self._seed, topics)), self._pace_s
        )
        self.publisher.publish_some(WARM_UP)
        self.deployment.release()
        self.consumer = DownstreamConsumer(where, topics.predictions, PARTITIONS)
        self.consumer.start()
        undo.callback(self.consumer.stop)
        self.publisher.start()
        undo.callback(self.publisher.stop)
        self.start_trainer()
        for slot in USUAL:
            self.start(slot)

    @property
    def running(self) -> list[int]:
        return sorted(self._slots)

    def link_of(self, slot: int, server: str) -> Link:
        return (self.kafka_links if server == "kafka" else self.redis_links)[slot]

    def start(self, slot: int) -> None:
        """Start a replica behind the links of a slot, unless one runs there."""
        if slot not in self._slots:
            self._slots[slot] = self.deployment.start_predictor(
                KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{self.kafka_links[slot].port}",
                REDIS_URL=f"redis://127.0.0.1:{self.redis_links[slot].port}/0",
            )

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

    def send_to_redis(self, command: str) -> None:
        """Send a command to Redis; do nothing if Redis is down or paused."""
        client = redis.Redis.from_url(self.deployment.redis_url, socket_timeout=1.0, retry=None)
        with contextlib.suppress(redis.RedisError):
            client.execute_command(*command.split())  # type: ignore[no-untyped-call]
        client.close()

    def start_trainer(self) -> None:
        if self._trainer is not None:
            return
        self._trainer = self.deployment.start("tests.chaos.trainer", str(self._seed))

    def kill_trainer(self) -> None:
        if self._trainer is not None:
            self._trainer.kill()
            self._trainer = None

    def supervise(self) -> None:
        """Restart processes that ended by themselves; raise errors of our own threads."""
        self.publisher.check()
        self.consumer.check()
        self.kafka.restart_if_ended()
        self.redis.restart_if_ended()
        for slot, replica in list(self._slots.items()):
            code = replica.process.poll()
            if code is not None:
                self.exits[f"exit code {code}: {_last_log_line(replica)}"] += 1
                del self._slots[slot]
                self.start(slot)
        if self._trainer is not None and self._trainer.process.poll() is not None:
            self.wrong.append(f"the trainer ended: {self._trainer.log_text()[-500:]}")
            self._trainer = None
            self.start_trainer()

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
