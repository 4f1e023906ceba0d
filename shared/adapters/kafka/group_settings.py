"""Settings of a consumer group: its rebalance protocol, and its times."""

from dataclasses import dataclass
from typing import Literal

GroupProtocol = Literal["classic", "consumer"]


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """How a group shares out partitions, and how it learns that a member is gone.

    In the protocol `consumer` (KIP-848) the broker decides both times, for all members.
    """

    protocol: GroupProtocol = "classic"
    session_timeout_ms: int = 6_000  # after so long without a heartbeat, a member is expelled
    heartbeat_interval_ms: int = 300  # a member learns so late that another has joined or left

    def client_config(self) -> dict[str, str | int]:
        """Return the client's settings; it refuses those of the other protocol."""
        if self.protocol == "consumer":
            return {"group.protocol": "consumer"}
        return {
            "group.protocol": "classic",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": self.session_timeout_ms,
            "heartbeat.interval.ms": self.heartbeat_interval_ms,
        }
