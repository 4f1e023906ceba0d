"""Read from the dead-letters topic which record of a partition was rejected last."""

from services.predictor.ports import TopicHistory
from shared.adapters.kafka.backwards_reader import read_backwards
from shared.adapters.schemas.dead_letters import dead_letter_offset


def offset_after_last_dead_letter(
    dead_letters: TopicHistory, topic: str, partition: int, end: int
) -> int:
    """Return the offset after a partition's last rejected record; 0 if none was rejected.

    Args:
        dead_letters: the topic, read with headers.
        topic: where the rejected records came from.
        partition: their partition.
        end: of that partition; whoever names an offset beyond it has not read it there.

    Raises:
        Unavailable: Kafka does not answer.
    """
    for span in read_backwards(dead_letters, 0):
        sources = (dead_letter_offset(record.headers or {}, topic, partition) for record in span)
        offsets = [offset for offset in sources if offset is not None and offset < end]
        if offsets:
            return max(offsets) + 1
    return 0
