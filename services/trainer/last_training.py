"""When the newest model was trained, as the log tells it: a schedule survives a restart."""

from typing import Final

from services.trainer.settings import TrainerSettings
from shared.adapters.bundle_codec import decode_bundle
from shared.adapters.kafka.backwards_reader import read_backwards
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.core.errors import BadInput
from shared.log.bundle_store import published_ms

_PARTITION: Final = 0  # `models` has one partition
_FIRST_BLOCK: Final = 4  # bundles are large, and the newest record is mostly it


def last_training_ms(settings: TrainerSettings) -> int | None:
    """Return when the newest version that was trained was published; None if there is none.

    Versions of another interval, and those made of a file's weights, are passed over.

    Raises:
        Unavailable: Kafka does not answer.
    """
    with Reader(settings.kafka, settings.topics.models, headers=True) as reader:
        if not reader.partitions():
            return None
        for span in read_backwards(reader, _PARTITION, _FIRST_BLOCK):
            # One after the other: a bundle may have 60 MB.
            times = [trained_ms(record, settings.interval) for record in span]
            known = [time for time in times if time is not None]
            if known:
                return max(known)
    return None


def trained_ms(record: ConsumerRecord, interval: str) -> int | None:
    """Return when a record of `models` was published; None if it is no training's.

    Args:
        record: the record.
        interval: of the deployment: deployments of several may share the topic.
    """
    time_ms, value = published_ms(record), record.value
    if time_ms is None or value is None:
        return None
    try:
        training = decode_bundle(
            (record.key or b"").decode("ascii", "replace"), value
        ).card.training
    except BadInput:
        return None
    return time_ms if training.get("interval") == interval else None
