"""Read spans of the predictions topic, and find times in it."""

from typing import Final, Self

from shared.adapters.kafka.backwards_reader import OffsetRangeReader
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.errors import BadInput
from shared.core.online.prediction import Prediction
from shared.core.topics import Topics
from shared.log.klines_reader import LOOK_BYTES, KlinesReader
from shared.log.offset_search import search_offset

_NEAR: Final = 500  # offsets within which a search ends


class PredictionsReader(Reader):
    """A reader of a deployment's predictions, which finds times by the candles they came from.

    Predictions lie in the order of their candles, and each names its candle's offset.
    """

    def __init__(self, kafka: KafkaConnection, topics: Topics) -> None:
        """Create the consumers; they connect on first use."""
        super().__init__(kafka, topics.predictions)
        self._klines = KlinesReader(kafka, topics)
        self._looks = Reader(kafka, topics.predictions, fetch_bytes=LOOK_BYTES)

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(self, *args: object) -> None:
        """Close the connections."""
        for reader in (self._klines, self._looks):
            reader.__exit__(*args)
        super().__exit__(*args)

    def offset_at(self, partition: int, time_ms: int) -> int:
        """Return an offset before which every prediction is for a candle that opens before a time.

        Raises:
            Unavailable: Kafka does not answer.
        """
        # Such a candle's prediction comes from the one that closes a millisecond earlier.
        source_offset = self._klines.offset_at(partition, time_ms - 1)
        return find_source(self._looks, partition, source_offset)


def find_source(predictions: OffsetRangeReader, partition: int, source_offset: int) -> int:
    """Return an offset before which all predictions were made from earlier candles.

    Args:
        predictions: reads the topic.
        partition: the partition.
        source_offset: of the candle, in the same partition of klines.
    """

    def look(start: int, end: int) -> int | None:
        found = _first_prediction(predictions, partition, start, end)
        if found is None or found[1].source_offset >= source_offset:
            return None
        return found[0] + 1

    return search_offset(predictions, partition, _NEAR, look)


def _first_prediction(
    predictions: OffsetRangeReader, partition: int, start: int, end: int
) -> tuple[int, Prediction] | None:
    """Return the first prediction of a span of offsets, with its own; None if it has none."""
    for block in predictions.read(partition, start, end):
        for record in block:
            try:
                return record.offset, decode_prediction(record.value)
            except BadInput:  # no reader uses such a record
                continue
    return None
