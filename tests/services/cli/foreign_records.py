"""Values that foreign programs, or damage, may leave on a topic."""

from typing import Final

from shared.adapters.kafka.producer import ProducerRecord
from tests.support.builders import START_MS

FOREIGN_VALUES: Final = (
    None,
    b"",
    b"\xff\x00{",
    b"{nonsense",
    b"[1, 2]",
    b'"text"',
    b"7",
    b"null",
    b"{}",
    b'{"schema": 99, "type": "candle", "symbol": "BTCUSDT"}',
    b'{"schema": 1, "type": "candle", "symbol": ["BTCUSDT"], "open_time_ms": "soon"}',
    b"[" * 3000,
)


def foreign_records(
    topic: str, partition: int, key: bytes | None = b"BTCUSDT"
) -> list[ProducerRecord]:
    """Return a record of each foreign value, without headers."""
    return [ProducerRecord(topic, partition, key, value, START_MS) for value in FOREIGN_VALUES]
