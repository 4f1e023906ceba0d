"""Check that the klines topic is still the one that the predictions were made from."""

from typing import Final

from services.predictor.ports import TopicHistory
from services.predictor.recovery.prediction_tail import PublishedTail, skip_advice
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput, Incompatible
from shared.core.online.prediction import Prediction
from shared.core.records import Candle, Promotion, Record

_CHECKED: Final = 256  # records up to the newest that was predicted from


def choose_next_offset(
    committed: int | None, published: PublishedTail, ends: tuple[int, int], partition: int
) -> int:
    """Return the offset of the next record to predict from.

    It is never one that was predicted from already, even if committed offsets were deleted.

    Args:
        committed: the consumer group's committed offset.
        published: the end of the partition's predictions.
        ends: the first offset of the partition's klines and the offset after the last.
        partition: the partition.

    Raises:
        Incompatible: the klines no longer reach that offset.
    """
    next_offset = max(committed or 0, published.next_offset)
    first, end = ends
    if first <= next_offset <= end:
        return next_offset
    lost = (
        f"begin at {first}: the records between were deleted"
        if next_offset < first
        else f"end at {end}: the last records were lost"
    )
    is_by_prediction = published.next_offset > (committed or 0)
    advice = _skip_advice(published, partition) if is_by_prediction else ""
    message = (
        f"symbol group {partition} was read up to offset {next_offset}, its klines {lost}, or the"
        f" topic was recreated; restore the topic as it was{advice}, or start a new deployment"
        " under another TOPIC_PREFIX"
    )
    raise Incompatible(message)


def check_klines_match(
    published: PublishedTail, klines: TopicHistory, codec: KlineCodec, partition: int
) -> None:
    """Check that the newest predictions were made from the klines at their source offsets.

    Raises:
        Incompatible: the topic was recreated, or restored with other offsets.
        Unavailable: Kafka does not answer.
    """
    newest = published.newest
    first = klines.ends(partition)[0]
    if newest is None or newest.source_offset < first:
        return  # deleted since, which only a rebuild minds, and reports
    start = max(first, newest.source_offset + 1 - _CHECKED)
    records = _read_records(klines, codec, partition, start, newest.source_offset + 1)
    for prediction in published.last.values():
        offset = prediction.source_offset
        if offset >= start and not _is_source(records.get(offset), prediction, codec.interval_ms):
            what = (
                f"a candle that closed at {prediction.close} before open time"
                f" {prediction.open_time_ms} ms"
            )
            raise _mismatch(published, prediction, partition, what)
    offset = newest.promotion_offset
    if offset < first:
        return
    promotion = _read_records(klines, codec, partition, offset, offset + 1).get(offset)
    if not isinstance(promotion, Promotion) or promotion.model_version != newest.model_version:
        what = f"the promotion of {newest.model_version}"
        raise _mismatch(published, newest, partition, what)


def decode_or_none(codec: KlineCodec, record: ConsumerRecord) -> Record | None:
    """Return the value of a klines record, or None if it is unreadable."""
    try:
        return codec.decode(record.value, record.partition)
    except BadInput:
        return None


def _read_records(
    klines: TopicHistory, codec: KlineCodec, partition: int, start: int, end: int
) -> dict[int, Record | None]:
    """Return the values of a span by offset."""
    blocks = klines.read(partition, start, end)
    return {r.offset: decode_or_none(codec, r) for block in blocks for r in block}


def _is_source(value: Record | None, prediction: Prediction, interval_ms: int) -> bool:
    return (
        isinstance(value, Candle)
        and value.symbol == prediction.symbol
        and value.open_time_ms + interval_ms == prediction.open_time_ms
        and value.close == prediction.close
    )


def _mismatch(
    published: PublishedTail, prediction: Prediction, partition: int, what: str
) -> Incompatible:
    symbol = prediction.symbol
    return Incompatible(
        f"symbol group {partition}: {symbol} was predicted from klines offset"
        f" {prediction.source_offset}, {what}, which is not there now: the topic was recreated or"
        f" restored with other offsets; restore it as it was{_skip_advice(published, partition)},"
        " or start a new deployment under another TOPIC_PREFIX"
    )


def _skip_advice(published: PublishedTail, partition: int) -> str:
    """Return the advice for a foreign newest prediction; empty if its place is not known."""
    newest = published.newest
    place = None if newest is None else published.places.get(newest.symbol)
    return "" if place is None else f" ({skip_advice(partition, place)})"
