"""A healthy cluster; a test overrides what it is about."""

from typing import Any, Final

from services.dashboard.cluster.facts import (
    ClusterFacts,
    KafkaFacts,
    PartitionFacts,
    ReplicaFacts,
    ServiceFacts,
)
from services.dashboard.ports import LogFacts

NOW_MS: Final = 1_735_689_600_000


def kafka(**fields: Any) -> KafkaFacts:
    given: dict[str, Any] = {
        "brokers": 1,
        "group_state": "stable",
        "replicas": [ReplicaFacts("r1", "10.0.0.3", (0, 1)), ReplicaFacts("r2", "10.0.0.4", (2,))],
        "partitions": [PartitionFacts(at, 100, 101, 0) for at in range(3)],
        "dead_letters": 0,
    }
    return KafkaFacts(**given | fields)


def service(name: str, *, ready: bool = True, reason: str = "", **metrics: Any) -> ServiceFacts:
    """Return a service; a metric with a label is given as name__label."""
    by_label = {(key.partition("__")[0], key.partition("__")[2]): v for key, v in metrics.items()}
    return ServiceFacts(name, f"{name}:9100", True, ready, reason, by_label, None)


def log_facts(**fields: Any) -> LogFacts:
    given: dict[str, Any] = {
        "champion": "m1",
        "is_champion_known": True,
        "has_candles": True,
        "newest_arrived_ms": NOW_MS - 1_000,
        "stale_after_ms": 600_000,
    }
    return LogFacts(**given | fields)


def healthy(**fields: Any) -> ClusterFacts:
    given: dict[str, Any] = {
        "now_ms": NOW_MS,
        "kafka": kafka(),
        "services": [
            service("producer", stream_connected=1.0, aborts_total=0.0, dead_letters_total=0.0),
            service("predictor", redis_up=1.0, aborts_total__refused=0.0),
            service("trainer", is_training=0.0, recent_skill_upper_ratio=float("nan")),
        ],
        "log": log_facts(),
    }
    return ClusterFacts(**given | fields)
