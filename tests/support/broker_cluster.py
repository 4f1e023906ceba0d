"""Brokers on this machine that form one cluster, as in production: three copies of each record."""

import json
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from confluent_kafka import ElectionType, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, TopicMetadata  # type: ignore[attr-defined]

from shared.adapters.kafka.connection import KafkaConnection
from shared.local_servers import programs
from tests.support.servers import ServerProcess, reserve_port
from tests.support.waiting import eventually

BROKERS: Final = (1, 2, 3)
_REQUEST_S: Final = 10.0
_REASSIGN: Final = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
_REPLICATION: Final = {
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
    "share.coordinator.state.topic.replication.factor": 3,
    "share.coordinator.state.topic.min.isr": 2,
}


class BrokerCluster:
    """Three brokers, each a controller too; a record is acknowledged by two of them or more."""

    def __init__(self, folder: Path) -> None:
        ports = {broker: reserve_port() for broker in BROKERS}
        self._folder = folder
        self._controller_ports = {broker: reserve_port() for broker in BROKERS}
        self._cluster_id = programs.new_cluster_id()
        self._undo = ExitStack()
        self._servers = {broker: self._server(broker, ports[broker]) for broker in BROKERS}
        self.kafka = KafkaConnection(",".join(f"{programs.HOST}:{ports[b]}" for b in BROKERS))
        self._admin = AdminClient(self.kafka.client_config())

    def __enter__(self) -> Self:
        with self._undo as undo:
            # None answers before two of them run.
            for broker in BROKERS:
                undo.callback(self._servers[broker].kill)
                self.start(broker)
            for broker in BROKERS:
                undo.enter_context(self._servers[broker])
            eventually(lambda: self._alive() == set(BROKERS), 60.0)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    # --- brokers ----------------------------------------------------------------------------------

    def start(self, broker: int) -> None:
        """Start a broker unless it runs."""
        self._servers[broker].folder.mkdir(parents=True, exist_ok=True)
        self._servers[broker].launch()

    def kill(self, broker: int) -> None:
        self._servers[broker].kill()

    def stop(self, broker: int) -> None:
        """Shut a broker down as for an upgrade: it hands its partitions over first."""
        self._servers[broker].send(signal.SIGTERM)
        self._servers[broker].await_end()

    def restart_ended(self) -> None:
        for server in self._servers.values():
            server.restart_if_ended()

    # --- partitions -------------------------------------------------------------------------------

    def is_complete(self) -> bool:
        """Return whether every broker runs and has every record that it should have."""
        # The others list a broker that was killed until its session has ended.
        if not all(server.answers for server in self._servers.values()):
            return False
        try:
            topics = self._topics()
            return self._alive() == set(BROKERS) and all(
                len(partition.isrs) == len(partition.replicas)
                for topic in topics.values()
                for partition in topic.partitions.values()
            )
        except KafkaException:
            return False

    def leader(self, topic: str, partition: int) -> int:
        return self._leader(TopicPartition(topic, partition))

    def move_leaders(self, topics: Sequence[str]) -> None:
        """Make the next broker the leader of each partition of these topics."""
        plan = {
            TopicPartition(topic, number): _turned(partition.leader)
            for topic, found in self._topics(topics).items()
            for number, partition in found.partitions.items()
        }
        self.reassign(plan)
        self._admin.elect_leaders(ElectionType.PREFERRED, list(plan)).result(_REQUEST_S)
        eventually(lambda: all(self._leader(p) == plan[p][0] for p in plan))

    def reassign(self, plan: Mapping[TopicPartition, Sequence[int]]) -> None:
        """Give partitions to brokers, the preferred leader first; wait until these have them.

        librdkafka lacks the request, so Kafka's own tool sends it.
        """
        partitions = [
            {"topic": place.topic, "partition": place.partition, "replicas": list(brokers)}
            for place, brokers in plan.items()
        ]
        file = self._folder / "reassignment.json"
        file.write_text(json.dumps({"version": 1, "partitions": partitions}))
        where = ("--bootstrap-server", str(self.kafka))
        command = programs.java_command(_REASSIGN, *where, "--reassignment-json-file", str(file))
        subprocess.run([*command, "--execute"], check=True, capture_output=True)
        eventually(lambda: all(self._has(place, plan[place]) for place in plan), 60.0)

    def _has(self, place: TopicPartition, brokers: Sequence[int]) -> bool:
        """Return whether these brokers, and no others, have every record of a partition."""
        found = self._topics()[place.topic].partitions[place.partition]
        return list(found.replicas) == list(brokers) and set(found.isrs) == set(brokers)

    def _leader(self, place: TopicPartition) -> int:
        return int(self._topics()[place.topic].partitions[place.partition].leader)

    def _topics(self, only: Sequence[str] = ()) -> dict[str, TopicMetadata]:
        topics = self._admin.list_topics(timeout=_REQUEST_S).topics
        return {name: topics[name] for name in only or topics}

    def _alive(self) -> set[int]:
        return set(self._admin.list_topics(timeout=_REQUEST_S).brokers)

    # --- settings ---------------------------------------------------------------------------------

    def _server(self, broker: int, port: int) -> ServerProcess:
        folder = self._folder / f"kafka-{broker}"

        def command() -> list[str]:
            settings = self._settings(broker, port)
            return programs.kafka_command(folder, port, settings, self._cluster_id)

        return ServerProcess("kafka", folder, port, command, programs.is_kafka_ready)

    def _settings(self, broker: int, port: int) -> dict[str, object]:
        host, controllers = programs.HOST, self._controller_ports
        voters = ",".join(f"{b}@{host}:{controllers[b]}" for b in BROKERS)
        controller = f"CONTROLLER://{host}:{controllers[broker]}"
        return {
            **_REPLICATION,
            "node.id": broker,
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://{host}:{port},{controller}",
        }


def _turned(leader: int) -> list[int]:
    """Return all brokers in turn, the one after the leader first.

    >>> _turned(2)
    [3, 1, 2]
    """
    at = BROKERS.index(leader) + 1
    return [*BROKERS[at:], *BROKERS[:at]]
