"""When the champion began: the first candle after its promotion."""

from typing import Final

from services.dashboard.live.board import Champion
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput
from shared.core.records import Candle
from shared.core.topics import Topics

_LOOKED_AT: Final = 200  # records after the promotion


def find_first_candle_ms(
    kafka: KafkaConnection, topics: Topics, codec: KlineCodec, champion: Champion
) -> int | None:
    """Return the open time of the first candle after a promotion; None if none has come yet.

    Raises:
        Unavailable: Kafka does not answer.
    """
    with Reader(kafka, topics.klines) as reader:
        end = min(champion.offset + _LOOKED_AT, reader.ends(champion.partition)[1])
        for block in reader.read(champion.partition, champion.offset, end):
            for record in block:
                try:
                    value = codec.decode(record.value, record.partition)
                except BadInput:
                    continue
                if isinstance(value, Candle):
                    return value.open_time_ms
    return None
