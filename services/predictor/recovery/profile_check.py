"""Check which numeric profile predicts from an offset on."""

from services.predictor.ports import TopicHistory
from services.predictor.recovery.klines_check import decode_or_none
from shared.core.errors import Incompatible
from shared.core.online.partition import PartitionState
from shared.core.records import Promotion
from shared.log.record_processor import RecordProcessor


def check_profile(
    state: PartitionState, processor: RecordProcessor, klines: TopicHistory, partition: int
) -> None:
    """Check that this version's numeric profile predicts from a state's next record on.

    Predictions of different arithmetic are never mixed: where another profile predicts, only a
    promotion that names ours ends that.

    Raises:
        Incompatible: another profile predicts there.
        Unavailable: Kafka does not answer.
    """
    ours = processor.context.numeric_profile
    if processor.context.predicts(state.numeric_profile):
        return
    first, promotion = _next_own_promotion(state.next_offset, processor, klines, partition)
    if promotion is not None and promotion == first:
        return
    until = (
        "; promote a model with this version (`ulstm models promote VERSION`), let the other"
        " version run up to that promotion, then start this one"
        if promotion is None
        else f" until offset {promotion}, where this one takes over: let it run up to there, then"
        " start this one"
    )
    message = (
        f"symbol group {partition}: from offset {state.next_offset} on numeric profile"
        f" {state.numeric_profile} predicts, this is {ours}: run the version that has"
        f" {state.numeric_profile}{until}"
    )
    raise Incompatible(message)


def _next_own_promotion(
    start: int, processor: RecordProcessor, klines: TopicHistory, partition: int
) -> tuple[int | None, int | None]:
    """Return the offsets of the first record from `start` on, and of our first promotion."""
    first = None
    for block in klines.read(partition, start):
        for record in block:
            first = record.offset if first is None else first
            value = decode_or_none(processor.codec, record)
            ours = processor.context.numeric_profile
            if isinstance(value, Promotion) and value.numeric_profile == ours:
                return first, record.offset
    return first, None
