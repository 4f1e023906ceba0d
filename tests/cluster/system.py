"""A deployment on three brokers, which faults strike."""

import contextlib
from pathlib import Path
from typing import Final

from shared.adapters.kafka.group_settings import GroupProtocol
from tests.chaos.watched_deployment import WatchedDeployment
from tests.support import servers
from tests.support.broker_cluster import BROKERS, BrokerCluster
from tests.support.deployment import Deployment

PACE_S: Final = 0.1  # between two candles of a symbol: no pause is known better than that


class ClusterUnderFaults(WatchedDeployment):
    """Three brokers, one Redis, two replicas, candles all the time, and a consumer."""

    brokers: BrokerCluster

    def __init__(self, folder: Path, seed: int, protocol: GroupProtocol) -> None:
        super().__init__(folder, seed, PACE_S)
        self._protocol = protocol

    def _start_servers(self, undo: contextlib.ExitStack) -> Deployment:
        port = servers.reserve_port()
        self._redis = undo.enter_context(servers.redis_server(self.folder / "redis-server", port))
        self.brokers = undo.enter_context(BrokerCluster(self.folder))
        return Deployment(
            self.brokers.kafka,
            f"redis://127.0.0.1:{port}/0",
            "cluster.",
            self.folder,
            own_environ={
                "TOPIC_REPLICAS": str(len(BROKERS)),
                "GROUP_PROTOCOL": self._protocol,
            },
        )

    def restart_ended_servers(self) -> None:
        self._redis.restart_if_ended()
        self.brokers.restart_ended()
