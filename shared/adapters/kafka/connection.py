"""How Kafka is reached: one value that every client's configuration is made from."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from shared.core.topics import MESSAGE_MAX_BYTES

Compression = Literal["none", "gzip", "lz4", "zstd", "snappy"]

# The client wants a group of every consumer, and asks for its coordinator even if it never joins.
# Whoever reads by itself names this one, so that one right is enough.
READER_GROUP: Final = "ulstm-reader"
# librdkafka's own limit of an answer, and what an answer has beside its records.
_RECEIVE_MAX_BYTES: Final = 100_000_000
_OVERHEAD_BYTES: Final = 1024 * 1024
# What a client logs by itself goes to stderr, past the log's format; all of it is raised as well.
_SILENT: Final = logging.getLogger("librdkafka")
_SILENT.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Kafka's addresses and the settings of a connection; as text, the addresses alone.

    Attributes:
        bootstrap: host:port, comma-separated.
        options: librdkafka's settings of protocol, certificates and passwords. They are in no
            text that this value is turned into.
        message_max_bytes: the largest record that is written.
        compression: codec of the batches that are written.
    """

    bootstrap: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    message_max_bytes: int = MESSAGE_MAX_BYTES
    compression: Compression = "lz4"

    def __str__(self) -> str:
        """Return the addresses, for messages."""
        return self.bootstrap

    @property
    def protocol(self) -> str:
        """The security protocol, as Kafka calls it."""
        return self.options.get("security.protocol", "PLAINTEXT")

    @property
    def user(self) -> str:
        """Who connects, for messages."""
        if "sasl.username" in self.options:
            return f"user {self.options['sasl.username']}"
        if "ssl.certificate.location" in self.options:
            return f"the owner of {self.options['ssl.certificate.location']}"
        return "clients without a user"

    def client_config(self, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the configuration of a client.

        Args:
            own: what this client wants beside the connection; it has the last word.
        """
        receive_bytes = max(_RECEIVE_MAX_BYTES, self.message_max_bytes + _OVERHEAD_BYTES)
        return {
            "bootstrap.servers": self.bootstrap,
            "receive.message.max.bytes": receive_bytes,
            "log_level": 0,
            "logger": _SILENT,
            **self.options,
            **(own or {}),
        }
