"""The system under faults: servers behind links, replicas, a trainer, a publisher, a consumer."""

import contextlib
from pathlib import Path

import redis

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.group_settings import GroupProtocol
from tests.chaos.proxy import Link, Links
from tests.chaos.watched_deployment import SLOTS, WatchedDeployment
from tests.support import servers
from tests.support.deployment import Deployment, Replica


class SystemUnderFaults(WatchedDeployment):
    """One broker and one Redis, each replica behind links of its own, and a trainer."""

    def __init__(
        self, folder: Path, seed: int, pace_s: float, protocol: GroupProtocol = "consumer"
    ) -> None:
        super().__init__(folder, seed, pace_s)
        self._protocol = protocol
        self._trainer: Replica | None = None

    def _start_servers(self, undo: contextlib.ExitStack) -> Deployment:
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
        environ = {"GROUP_PROTOCOL": self._protocol}
        return Deployment(where, url, "chaos.", self.folder, own_environ=environ)

    def _start_traffic(self, undo: contextlib.ExitStack) -> None:
        super()._start_traffic(undo)
        self.start_trainer()

    @property
    def _market_kafka(self) -> KafkaConnection:
        return KafkaConnection(f"127.0.0.1:{self.market_link.port}")

    def link_of(self, slot: int, server: str) -> Link:
        return (self.kafka_links if server == "kafka" else self.redis_links)[slot]

    def _replica_environ(self, slot: int) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.kafka_links[slot].port}",
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_links[slot].port}/0",
        }

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

    def restart_ended_servers(self) -> None:
        self.kafka.restart_if_ended()
        self.redis.restart_if_ended()

    def supervise(self) -> None:
        super().supervise()
        if self._trainer is not None and self._trainer.process.poll() is not None:
            self.wrong.append(f"the trainer ended: {self._trainer.log_text()[-500:]}")
            self._trainer = None
            self.start_trainer()
