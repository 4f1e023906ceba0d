"""What the dead-letters topic tells of a group's place."""

from services.predictor.ports import TopicHistory
from shared.adapters.kafka.backwards_reader import read_backwards
from shared.adapters.schemas import dead_letter_offset


def offset_after_last_dead_letter(dead_letters: TopicHistory, topic: str, group: int) -> int:
    """Return the offset after the newest record of a group that was set aside; 0 if none was.

    Args:
        dead_letters: the topic, read with headers.
        topic: where the records came from.
        group: their partition.

    Raises:
        Unavailable: Kafka does not answer.
    """
    for span in read_backwards(dead_letters, 0):
        named = (dead_letter_offset(record.headers or {}, topic, group) for record in span)
        offsets = [offset for offset in named if offset is not None]
        if offsets:
            return max(offsets) + 1
    return 0
