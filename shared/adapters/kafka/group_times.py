"""Session and heartbeat of a group of the protocol `consumer`: the brokers decide them."""

import logging
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ResourceType,
)

from shared.adapters.kafka.connection import KafkaConnection

log = logging.getLogger(__name__)

REQUEST_S: Final = 5.0
LONGEST_HEARTBEAT_MS: Final = 1_000
_SESSION: Final = "consumer.session.timeout.ms"
_HEARTBEAT: Final = "consumer.heartbeat.interval.ms"


@dataclass(frozen=True, slots=True)
class GroupTimes:
    """Session time-out and heartbeat of a group's members."""

    session_timeout_ms: int
    heartbeat_interval_ms: int

    def advice(self, group: str, session_timeout_ms: int) -> str | None:
        """Return the advice for times that are longer than wanted, else None."""
        is_short = (
            self.session_timeout_ms <= session_timeout_ms
            and self.heartbeat_interval_ms <= LONGEST_HEARTBEAT_MS
        )
        if is_short:
            return None
        return (
            f"GROUP_PROTOCOL=consumer: in the group {group} Kafka notices a killed replica after"
            f" {self.session_timeout_ms} ms, and tells of one that leaves after up to"
            f" {self.heartbeat_interval_ms} ms. Set group.consumer.session.timeout.ms=5000,"
            " group.consumer.heartbeat.interval.ms=300 and their minimums on the brokers, or"
            " GROUP_PROTOCOL=classic"
        )


def read_group_times(kafka: KafkaConnection, group: str) -> GroupTimes | None:
    """Return the times of a group; None if Kafka does not tell them to this client."""
    resource = ConfigResource(ResourceType.GROUP, group)
    admin = AdminClient(kafka.client_config())
    try:
        found = admin.describe_configs([resource])[resource].result(REQUEST_S)
    except KafkaException as error:
        log.debug("the times of the group %s are not told: %s", group, error.args[0].str())
        return None
    if _SESSION not in found or _HEARTBEAT not in found:
        return None
    return GroupTimes(int(found[_SESSION].value or 0), int(found[_HEARTBEAT].value or 0))
