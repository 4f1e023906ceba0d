"""Read a partition's newest predictions from the end of their topic."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.predictor.ports import TopicHistory
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.predictions import decode_prediction
from shared.adapters.schemas.wire import UNKNOWN_SCHEMA
from shared.core.errors import BadInput, Incompatible
from shared.core.online.prediction import Prediction

log = logging.getLogger(__name__)

_TAIL: Final = 4096  # records; holds the last prediction of every symbol that still trades


@dataclass(frozen=True, slots=True)
class PublishedTail:
    """The last predictions of a partition."""

    last: Mapping[str, Prediction]  # by symbol
    oldest: Prediction | None = None  # the tail's first; None: the tail is the whole topic
    unreadable: int = 0  # records of the tail that are no predictions

    @property
    def next_offset(self) -> int:
        """The klines offset after the newest record that was predicted from."""
        return 0 if self.newest is None else self.newest.source_offset + 1

    @property
    def newest(self) -> Prediction | None:
        """The prediction with the highest source offset.

        It names the promotion and the numeric profile that were in effect last.
        """
        return max(self.last.values(), key=lambda p: p.source_offset, default=None)

    def lacks(self, prediction: Prediction) -> bool:
        """Return whether a prediction is missing that would be in the tail had it been published.

        A later prediction of the symbol proves that it was.
        """
        known = self.last.get(prediction.symbol)
        if known is not None:
            return known.source_offset < prediction.source_offset
        return self.oldest is None or self.oldest.source_offset <= prediction.source_offset

    def covers(self, source_offset: int) -> bool:
        """Return whether a prediction made from this offset would be in the tail."""
        return self.oldest is None or self.oldest.source_offset <= source_offset


def read_prediction_tail(predictions: TopicHistory, partition: int) -> PublishedTail:
    """Read the last prediction of each symbol from the end of a partition.

    A foreign record that nobody can read is passed over: were it one of ours, damaged, a prediction
    would be missing, which recovery notices.

    Raises:
        Incompatible: all predictions were deleted, or one is of another schema.
        Unavailable: Kafka does not answer.
    """
    first, end = predictions.ends(partition)
    size = _TAIL
    while True:
        start = max(first, end - size)
        records = [r for block in predictions.read(partition, start, end) for r in block]
        tail = _decode_all(records)
        if tail or start == first:
            break
        size *= 4  # transaction markers take offsets too: the tail may consist of them alone
    unreadable = len(records) - len(tail)
    if unreadable:
        log.warning("predictions/%d: %d foreign records are passed over", partition, unreadable)
    if first and not tail:
        message = (
            f"symbol group {partition}: all its predictions, up to offset {end}, were deleted, so"
            " what was published is unknown; restore them, or start a new deployment under another"
            " TOPIC_PREFIX"
        )
        raise Incompatible(message)
    last = {prediction.symbol: prediction for prediction in tail}
    return PublishedTail(last, tail[0] if start else None, unreadable)


def _decode_all(records: Sequence[ConsumerRecord]) -> list[Prediction]:
    decoded = (_decode(record) for record in records)
    return [prediction for prediction in decoded if prediction is not None]


def _decode(record: ConsumerRecord) -> Prediction | None:
    try:
        return decode_prediction(record.value)
    except BadInput as error:
        if error.reason != UNKNOWN_SCHEMA:
            return None
        message = (
            f"predictions/{record.partition} offset {record.offset} is of another version ({error})"
        )
        raise Incompatible(message) from error
