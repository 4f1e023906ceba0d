"""How Kafka is reached: one value that every client's configuration is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Kafka's addresses, and what a client needs beside them; as text, the addresses alone.

    Attributes:
        bootstrap: host:port, comma-separated.
        options: librdkafka's settings of protocol, certificates and passwords. They are in no
            text that this value is turned into.
    """

    bootstrap: str
    options: Mapping[str, str | int | bool] = field(default_factory=dict, repr=False, hash=False)

    def __str__(self) -> str:
        """Return the addresses, for messages."""
        return self.bootstrap

    def client_config(self, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the configuration of a client.

        Args:
            own: what this client wants beside the connection; it has the last word.
        """
        # The client would write to stderr, past the log's format; what matters it raises as well.
        base = {"bootstrap.servers": self.bootstrap, "log_level": 0}
        return {**base, **self.options, **(own or {})}
