"""Topic names and settings, intervals, and the partition of a symbol."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.core.errors import BadSetting

_INTERVALS_MS: Final = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
}
INTERVALS: Final = tuple(_INTERVALS_MS)


def interval_ms(interval: str) -> int:
    """Return an interval's length in milliseconds.

    >>> interval_ms("5m")
    300000

    Raises:
        BadSetting: the interval is not supported.
    """
    if interval not in _INTERVALS_MS:
        allowed = ", ".join(INTERVALS)
        raise BadSetting(f"INTERVAL is {interval!r}; choose one of {allowed}")
    return _INTERVALS_MS[interval]


def partition_for(symbol: str, partitions: int) -> int:
    """Return the partition of a symbol, on every topic that is keyed by symbol.

    It is librdkafka's `consistent` partitioner (CRC-32 of the key), so its clients agree.

    >>> partition_for("BTCUSDT", 6)
    3
    """
    return zlib.crc32(symbol.encode()) % partitions


# A bundle for 2,000 symbols is larger than Kafka's default of 1 MB.
MESSAGE_MAX_BYTES: Final = 64 * 1024 * 1024
_KEPT_FOR_EVER: Final = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
# The broker's limit for records ahead of its clock. Kafka's default of 1 h would refuse the candles
# of an exchange whose clock, or of a simulator whose accelerated clock, is further ahead.
TIMESTAMP_AHEAD: Final = "message.timestamp.after.max.ms"
_NO_LIMIT: Final = str(2**63 - 1)


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one deployment: one interval, a fixed number of partitions."""

    interval: str
    partitions: int
    prefix: str = ""
    replicas: int | None = None  # None: the brokers' default
    message_max_bytes: int = MESSAGE_MAX_BYTES

    @property
    def klines(self) -> str:
        """Candles, gaps, corrections, statuses, promotions; a partition for each symbol group."""
        return f"{self.prefix}klines.{self.interval}"

    @property
    def predictions(self) -> str:
        """The predictions, in the same partitions as their candles."""
        return f"{self.prefix}predictions.{self.interval}"

    @property
    def models(self) -> str:
        """Bundles by version, for ever."""
        return f"{self.prefix}models"

    @property
    def dead_letters(self) -> str:
        """Records that could not be processed."""
        return f"{self.prefix}dead-letters"

    @property
    def control(self) -> str:
        """Who is wanted and followed, and bans of the exchange, for ever; one partition."""
        return f"{self.prefix}control"

    def transactional_id(self, writer: str) -> str:
        """Return the name that Kafka knows a writer of this deployment by."""
        return f"{self.prefix}ulstm-{writer}"

    def consumer_group(self, name: str) -> str:
        """Return the id of a consumer group of this deployment."""
        return f"{self.prefix}{name}-{self.interval}"

    def specifications(self) -> dict[str, tuple[int, Mapping[str, str]]]:
        """Return the number of partitions and the settings of each topic, by name."""
        log = {
            **_KEPT_FOR_EVER,
            "message.timestamp.type": "CreateTime",
            TIMESTAMP_AHEAD: _NO_LIMIT,
        }
        models = {**log, "max.message.bytes": str(self.message_max_bytes)}
        return {
            self.klines: (self.partitions, log),
            self.predictions: (self.partitions, log),
            self.models: (1, models),
            self.dead_letters: (1, models),
            self.control: (1, log),
        }
