"""Read a partition's newest predictions from the end of their topic."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.predictor.ports import TopicHistory
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.predictions import decode_prediction
from shared.adapters.schemas.wire import UNKNOWN_SCHEMA
from shared.core.errors import BadInput, Incompatible
from shared.core.online.prediction import Prediction
from shared.log.skip_log import without_skipped

log = logging.getLogger(__name__)

_TAIL: Final = 4096  # records; holds the last prediction of every symbol that still trades


@dataclass(frozen=True, slots=True)
class PublishedTail:
    """The last predictions of a partition."""

    last: Mapping[str, Prediction]  # by symbol, the one with the highest source offset
    oldest: Prediction | None = None  # the tail's first; None: the tail is the whole topic
    unreadable: int = 0  # records of the tail that are no predictions
    places: Mapping[str, int] = field(
        default_factory=dict, compare=False
    )  # of the last, their own offsets

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


def read_prediction_tail(
    predictions: TopicHistory, partition: int, skipped: Collection[int] = ()
) -> PublishedTail:
    """Read the last prediction of each symbol from the end of a partition.

    A foreign record that nobody can read is passed over: were it one of ours, damaged, a prediction
    would be missing, which recovery notices.

    Args:
        predictions: the topic.
        partition: the partition.
        skipped: offsets of records that an operator has declared foreign.

    Raises:
        Incompatible: all predictions were deleted, or one is of another schema.
        Unavailable: Kafka does not answer.
    """
    first, end = predictions.ends(partition)
    size = _TAIL
    while True:
        start = max(first, end - size)
        blocks = without_skipped(predictions.read(partition, start, end), skipped)
        records = [record for block in blocks for record in block]
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
    last = _last_by_symbol(tail)
    places = {symbol: place for symbol, (place, _) in last.items()}
    oldest = tail[0][1] if start else None
    return PublishedTail({s: one for s, (_, one) in last.items()}, oldest, unreadable, places)


def _last_by_symbol(
    tail: Iterable[tuple[int, Prediction]],
) -> dict[str, tuple[int, Prediction]]:
    """Return each symbol's last prediction with its place.

    A foreign program may have copied an earlier one to the end: the source offset decides.
    """
    last: dict[str, tuple[int, Prediction]] = {}
    for place, prediction in tail:
        known = last.get(prediction.symbol)
        if known is None or prediction.source_offset > known[1].source_offset:
            last[prediction.symbol] = place, prediction
    return last


def skip_advice(partition: int, offset: int) -> str:
    """Return the advice for a foreign record on `predictions`."""
    return f"if the record is foreign, `ulstm skip {partition}/{offset} --reason TEXT`"


def _decode_all(records: Sequence[ConsumerRecord]) -> list[tuple[int, Prediction]]:
    decoded = ((record.offset, _decode(record)) for record in records)
    return [(place, prediction) for place, prediction in decoded if prediction is not None]


def _decode(record: ConsumerRecord) -> Prediction | None:
    try:
        return decode_prediction(record.value)
    except BadInput as error:
        if error.reason != UNKNOWN_SCHEMA:
            return None
        message = (
            f"predictions {record.partition}/{record.offset} is of another version ({error}): start"
            f" that version, or {skip_advice(record.partition, record.offset)}"
        )
        raise Incompatible(message) from error
