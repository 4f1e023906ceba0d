"""What the predictions topic says of a symbol group, and whether its klines are still those it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.predictor.ports import TopicHistory
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas import KlineCodec, decode_prediction
from shared.core.errors import BadInput, Incompatible
from shared.core.online.prediction import Prediction
from shared.core.records import Candle, Promotion, Record

_TAIL: Final = 4096  # predictions read back to find each symbol's last
_LOOKED_UP: Final = (
    256  # records before the newest that was predicted from: as many are held against predictions
)
_RESTORE: Final = "restore it as it was, or start a new deployment under another TOPIC_PREFIX"


@dataclass(frozen=True, slots=True)
class PublishedTail:
    """What the tail of the predictions topic says of a group."""

    last: Mapping[str, Prediction]  # by symbol
    oldest: Prediction | None = None  # where the tail begins; None: it is the whole topic

    @property
    def next_offset(self) -> int:
        """The offset after the newest record that a prediction came from."""
        return 0 if self.newest is None else self.newest.source_offset + 1

    @property
    def newest(self) -> Prediction | None:
        """The prediction from the newest record; it names the last promotion and numeric profile that led to one."""
        return max(self.last.values(), key=lambda p: p.source_offset, default=None)

    def lacks(self, prediction: Prediction) -> bool:
        """Say whether a prediction that was published would have to show here, and it or a later one does not."""
        known = self.last.get(prediction.symbol)
        if known is not None:
            return known.source_offset < prediction.source_offset
        return self.oldest is None or self.oldest.source_offset <= prediction.source_offset

    def reaches_back_to(self, open_time_ms: int) -> bool:
        """Say whether the tail should hold a prediction of this open time."""
        return self.oldest is None or self.oldest.open_time_ms <= open_time_ms


def read_prediction_tail(predictions: TopicHistory, group: int) -> PublishedTail:
    """Read the last prediction of each symbol in the tail of a group's predictions.

    Raises:
        Incompatible: the topic holds something else, or no longer what was written to it.
    """
    first, end = predictions.ends(group)
    size = _TAIL
    while True:
        start = max(first, end - size)
        tail = [
            _prediction(record) for block in predictions.read(group, start, end) for record in block
        ]
        if tail or start == first:  # the tail may hold nothing but markers of transactions
            break
        size *= 4
    if first and not tail:
        message = (
            f"symbol group {group}: all its predictions were deleted, up to offset {end}, so nobody knows what was"
            f" published; {_RESTORE}"
        )
        raise Incompatible(message)
    last = {prediction.symbol: prediction for prediction in tail}
    return PublishedTail(last, tail[0] if start else None)


def first_profile(predictions: TopicHistory, group: int) -> str | None:
    """Return the numeric profile of a group's very first prediction."""
    first = next((block[0] for block in predictions.read(group, 0)), None)
    return None if first is None else _prediction(first).numeric_profile


def next_offset(
    committed: int | None, published: PublishedTail, ends: tuple[int, int], group: int
) -> int:
    """Decide which record is the next to predict from; never one that was predicted from already.

    Args:
        committed: the consumer group's committed offset.
        published: what was published.
        ends: the first offset of the group's klines and the one after the last.
        group: the symbol group.

    Raises:
        Incompatible: the log is not what was read of it.
    """
    at = max(committed or 0, published.next_offset)
    first, end = ends
    if first <= at <= end:
        return at
    lost = (
        f"begin at {first}: what lies between was deleted"
        if at < first
        else f"end at {end}: they lost their end"
    )
    message = (
        f"symbol group {group} was read up to offset {at}, its klines {lost}, or were made anew;"
        f" {_RESTORE.replace(' it ', ' the topic ', 1)}"
    )
    raise Incompatible(message)


def check_origin(
    published: PublishedTail, klines: TopicHistory, codec: KlineCodec, group: int
) -> None:
    """Make sure that the klines are those that the newest predictions were made from, at their offsets.

    Raises:
        Incompatible: they were made anew, or restored with other offsets.
    """
    newest = published.newest
    first = klines.ends(group)[0]
    if newest is None or newest.source_offset < first:
        return  # deleted since: whoever needs them says so
    start = max(first, newest.source_offset + 1 - _LOOKED_UP)
    found = _decoded(klines, codec, group, start, newest.source_offset + 1)
    for prediction in published.last.values():
        at = prediction.source_offset
        if at >= start and not _is_from(prediction, found.get(at), codec.interval_ms):
            what = f"a candle that closed at {prediction.close} before open time {prediction.open_time_ms} ms"
            raise _other_klines(prediction, group, at, what)
    at = newest.promotion_offset
    if at >= first and not _is_of(newest, _decoded(klines, codec, group, at, at + 1).get(at)):
        raise _other_klines(newest, group, at, f"the promotion of {newest.model_version}")


def _prediction(record: ConsumerRecord) -> Prediction:
    try:
        return decode_prediction(record.value)
    except BadInput as error:
        message = (
            f"predictions {record.partition}/{record.offset} is no prediction of this version ({error});"
            " start a new deployment under another TOPIC_PREFIX"
        )
        raise Incompatible(message) from error


def _decoded(
    klines: TopicHistory, codec: KlineCodec, group: int, start: int, end: int
) -> dict[int, Record]:
    """Return the good records of a span by offset."""
    found = {}
    for block in klines.read(group, start, end):
        for record in block:
            value = decode_or_none(codec, record)
            if value is not None:
                found[record.offset] = value
    return found


def decode_or_none(codec: KlineCodec, record: ConsumerRecord) -> Record | None:
    """Return a record of the klines as a value, or None if it is none."""
    try:
        return codec.decode(record.value, record.partition)
    except BadInput:
        return None


def _is_from(prediction: Prediction, value: Record | None, interval_ms: int) -> bool:
    return (
        isinstance(value, Candle)
        and value.symbol == prediction.symbol
        and value.open_time_ms + interval_ms == prediction.open_time_ms
        and value.close == prediction.close
    )


def _is_of(prediction: Prediction, value: Record | None) -> bool:
    return isinstance(value, Promotion) and value.model_version == prediction.model_version


def _other_klines(prediction: Prediction, group: int, offset: int, what: str) -> Incompatible:
    return Incompatible(
        f"symbol group {group}: {prediction.symbol} was predicted from klines offset {offset}, {what}, which does not"
        f" lie there now: the topic was made anew or restored with other offsets; {_RESTORE}"
    )
