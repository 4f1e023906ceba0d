"""What happens to a cluster, and how long predictions may stay away because of it.

An action yields the seconds to wait before its next step. At its end everything runs again.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from confluent_kafka import TopicPartition

from tests.chaos.watched_deployment import SLOTS, USUAL
from tests.cluster.system import ClusterUnderFaults
from tests.support.broker_cluster import BROKERS

AWAY_S: Final = 60.0  # the under-replicated minute
DEADLINE_S: Final = 90.0
# A call of librdkafka may hang as its coordinator shuts down: the deadline of a transaction, 15 s,
# ends it (ADR 9). Usually a shutdown costs less than two seconds.
STUCK_CALL_S: Final = 20.0
COORDINATORS: Final = ("__consumer_offsets", "__transaction_state")

Action = Callable[[ClusterUnderFaults], Iterator[float]]


@dataclass(frozen=True, slots=True)
class ClusterFault:
    """Something that happens to a cluster, and the longest pause of predictions that it may cost.

    `bound_s` is for a machine that is otherwise idle.
    """

    name: str
    bound_s: float
    action: Action


def _broker_killed(broker: int, system: ClusterUnderFaults, away_s: float = 0.0) -> Iterator[float]:
    system.brokers.kill(broker)
    yield from _until_predicted(system)
    yield away_s
    system.brokers.start(broker)
    yield from _until(system.brokers.is_complete)


def _broker_restarted(broker: int, system: ClusterUnderFaults) -> Iterator[float]:
    system.brokers.stop(broker)
    yield from _until_predicted(system)
    system.brokers.start(broker)
    yield from _until(system.brokers.is_complete)


def _two_brokers_killed(system: ClusterUnderFaults) -> Iterator[float]:
    """Leave one broker: less than `min.insync.replicas`, so nothing can be written."""
    for broker in BROKERS[:2]:
        system.brokers.kill(broker)
    yield 10.0
    for broker in BROKERS[:2]:
        system.brokers.start(broker)
    yield from _until(system.brokers.is_complete)


def _leaders_moved(system: ClusterUnderFaults) -> Iterator[float]:
    topics = system.deployment.topics
    system.brokers.move_leaders([topics.klines, topics.predictions])
    yield from _until_predicted(system)


def _coordinators_moved(system: ClusterUnderFaults) -> Iterator[float]:
    """Move the leaders of the topics that hold committed offsets and transactions."""
    system.brokers.move_leaders(COORDINATORS)
    yield from _until_predicted(system)


def _partitions_reassigned(system: ClusterUnderFaults) -> Iterator[float]:
    """Take the first symbol group from the broker that leads it, then copy it there again."""
    topics = system.deployment.topics
    leader = system.brokers.leader(topics.klines, 0)
    others = [broker for broker in BROKERS if broker != leader]
    places = [TopicPartition(name, 0) for name in (topics.klines, topics.predictions)]
    for brokers in (others, [*others, leader]):
        system.brokers.reassign(dict.fromkeys(places, brokers))
        yield from _until_predicted(system)


def _replica_killed(system: ClusterUnderFaults) -> Iterator[float]:
    system.kill(USUAL[0])
    yield from _until_predicted(system)


def _replica_stopped(system: ClusterUnderFaults) -> Iterator[float]:
    yield from system.stop(USUAL[0])
    yield from _until_predicted(system)


def _replica_added(system: ClusterUnderFaults) -> Iterator[float]:
    system.start(SLOTS - 1)
    yield from _until_predicted(system)


def _rolling_restart(system: ClusterUnderFaults) -> Iterator[float]:
    for slot in system.running:
        yield from system.stop(slot)
        system.start(slot)
        yield from _until_predicted(system)


def restore_replicas(system: ClusterUnderFaults) -> Iterator[float]:
    """Run exactly the usual replicas again."""
    for slot in USUAL:
        system.start(slot)
    for slot in system.running:
        if slot not in USUAL:
            yield from system.stop(slot)


def _until_predicted(system: ClusterUnderFaults) -> Iterator[float]:
    """Wait until later candles are predicted and every replica has its share."""
    yield from _until(system.recovered_from_now())


def _until(happened: Callable[[], bool]) -> Iterator[float]:
    ends = time.monotonic() + DEADLINE_S
    while not happened() and time.monotonic() < ends:
        yield 0.1


FAULTS: Final = (
    ClusterFault("broker 1 killed", 15.0, partial(_broker_killed, 1)),
    ClusterFault("broker 2 killed", 15.0, partial(_broker_killed, 2)),
    ClusterFault("broker 3 killed", 15.0, partial(_broker_killed, 3)),
    ClusterFault("broker 1 stopped", STUCK_CALL_S, partial(_broker_restarted, 1)),
    ClusterFault("broker 2 stopped", STUCK_CALL_S, partial(_broker_restarted, 2)),
    ClusterFault("broker 3 stopped", STUCK_CALL_S, partial(_broker_restarted, 3)),
    ClusterFault("leaders moved", 5.0, _leaders_moved),
    ClusterFault("coordinators moved", STUCK_CALL_S, _coordinators_moved),
    ClusterFault("partitions reassigned", 5.0, _partitions_reassigned),
    ClusterFault(
        "broker 2 away for a minute", 15.0, lambda system: _broker_killed(2, system, AWAY_S)
    ),
    ClusterFault("two brokers killed for 10 s", 60.0, _two_brokers_killed),
    ClusterFault("replica killed", 7.0, _replica_killed),
    ClusterFault("replica stopped", 1.5, _replica_stopped),
    ClusterFault("replica added", 1.5, _replica_added),
    ClusterFault("replicas restarted in turn", 1.5, _rolling_restart),
)
