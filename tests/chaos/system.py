"""Everything that runs, what stands between, and how it is hurt."""

import contextlib
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

import redis

from tests.chaos.downstream_consumer import DownstreamConsumer
from tests.chaos.market import ChaosMarket, Publisher, rounds_of
from tests.chaos.proxy import Link, Links
from tests.support import servers
from tests.support.deployment import PARTITIONS, Deployment, Replica

SLOTS: Final = 3  # replicas at most
USUAL: Final = (0, 1)  # the slots that run between faults
WARM_UP: Final = 20  # rounds before the first promotion
END_S: Final = 20.0  # of a replica that was told to stop


class Stuck(Exception):
    """Raised when something does not happen within its time."""


class SystemUnderFaults:
    """A deployment that is not spared.

    A replica that ends without being told to is started again, as whatever runs it in production would.
    """

    def __init__(self, folder: Path, seed: int, pace_s: float) -> None:
        self.folder, self._seed, self._pace_s = folder, seed, pace_s
        self.exits: Counter[str] = Counter()  # of replicas that nobody stopped, by their last words
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
        where, url = f"127.0.0.1:{kafka_port}", f"redis://127.0.0.1:{redis_port}/0"
        self.deployment = undo.enter_context(Deployment(where, url, "chaos.", self.folder))
        topics = self.deployment.topics
        market = f"127.0.0.1:{self.market_link.port}"
        self.publisher = Publisher(
            market, topics, rounds_of(ChaosMarket(self._seed, PARTITIONS)), self._pace_s
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
        """Start a replica behind the links of a slot, if none runs there."""
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
        """Ask a replica to stop; it must, by itself, with exit code 0."""
        replica = self._slots.pop(slot, None)
        if replica is None or replica.process.poll() is not None:
            return
        replica.process.send_signal(signal.SIGTERM)
        ends = time.monotonic() + END_S
        while replica.process.poll() is None and time.monotonic() < ends:
            yield 0.05
        if replica.process.poll() != 0:
            self.wrong.append(
                f"{replica.log.name}: SIGTERM gave exit code {replica.process.poll()} (None: none at all)"
            )
            replica.kill()

    def tell_redis(self, command: str) -> None:
        """Send a command; a Redis that is not there, or paused, does not hear it."""
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

    def tend(self) -> None:
        """Start again what ended by itself; raise what went wrong in our own threads."""
        self.publisher.check()
        self.consumer.check()
        self.kafka.restart_if_ended()
        self.redis.restart_if_ended()
        for slot, replica in list(self._slots.items()):
            code = replica.process.poll()
            if code is not None:
                self.exits[f"exit code {code}: {_last_words(replica)}"] += 1
                del self._slots[slot]
                self.start(slot)
        if self._trainer is not None and self._trainer.process.poll() is not None:
            self.wrong.append(f"the trainer ended: {self._trainer.log_text()[-500:]}")
            self._trainer = None
            self.start_trainer()

    def rest(self, until: float) -> None:
        """Let time pass, up to a moment on the monotonic clock."""
        while (left := until - time.monotonic()) > 0:
            self.tend()
            time.sleep(min(left, 0.1))

    def await_calm(self, deadline_s: float) -> None:
        """Wait until each group's candles of now are predicted from, and each replica has its share of the groups.

        Raises:
            Stuck: that does not happen.
        """
        since = dict(self.publisher.newest)
        ends = time.monotonic() + deadline_s

        def what() -> str:
            return f"no news of {self._behind(since)}, symbol groups by replica {self._shares()}"

        self._eventually(self._shared_out, deadline_s, what)
        self._eventually(self.calm_from_now(), ends - time.monotonic(), what)

    def calm_from_now(self) -> Callable[[], bool]:
        """Return what tells whether candles after this moment are predicted from, and all groups are shared out."""
        due = dict(self.publisher.newest)
        return lambda: not self._behind(due) and self._shared_out()

    def await_all(self, deadline_s: float) -> None:
        """Wait, after the last candle, for its prediction.

        Raises:
            Stuck: it does not come.
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

    def _shared_out(self) -> bool:
        shares = self._shares()
        return sum(shares) == PARTITIONS and min(shares) > 0

    def _shares(self) -> list[int]:
        return [_groups(replica) for replica in self._slots.values()]

    def _eventually(
        self, happened: Callable[[], bool], deadline_s: float, what: Callable[[], str]
    ) -> None:
        ends = time.monotonic() + deadline_s
        while not happened():
            if time.monotonic() > ends:
                raise Stuck(f"after {deadline_s:g} s still: {what()}")
            self.tend()
            time.sleep(0.1)


def _groups(replica: Replica) -> int:
    return int(replica.metric("ulstm_predictor_groups"))


def _last_words(replica: Replica) -> str:
    lines = replica.log_text().strip().splitlines() or ["nothing"]
    text = re.sub(r"^[-0-9]+ [:,0-9]+ ", "", lines[-1])
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]{4,}", "…", text)[:200]
