"""What the dead-letters topic tells of a group's place."""

from services.predictor.published import History
from shared.adapters.kafka.tail import backwards
from shared.adapters.messages import letter_offset


def after_last_letter(dead_letters: History, topic: str, group: int) -> int:
    """Return the offset after the newest record of a group that was set aside; 0 if none was.

    Args:
        dead_letters: the topic, read with headers.
        topic: where the records came from.
        group: their partition.

    Raises:
        Unavailable: Kafka does not answer.
    """
    for span in backwards(dead_letters, 0):
        named = (letter_offset(record.headers or {}, topic, group) for record in span)
        offsets = [offset for offset in named if offset is not None]
        if offsets:
            return max(offsets) + 1
    return 0
