"""What the dead-letters topic tells of a group's place."""

from collections.abc import Mapping
from typing import Final

from services.predictor.published import History

_TAIL: Final = 4096  # letters read back at first


def after_last_letter(dead_letters: History, topic: str, group: int) -> int:
    """Return the offset after the newest record of a group that was set aside; 0 if none was.

    Args:
        dead_letters: the topic, read with headers.
        topic: where the records came from.
        group: their partition.

    Raises:
        Unavailable: Kafka does not answer.
    """
    first, end = dead_letters.ends(0)
    size = _TAIL
    while end > first:
        start = max(first, end - size)
        offsets = [
            int(record.headers["offset"])
            for block in dead_letters.read(0, start, end)
            for record in block
            if record.headers and _is_of(record.headers, topic, group)
        ]
        if offsets:
            return max(offsets) + 1
        end, size = start, 4 * size
    return 0


def _is_of(headers: Mapping[str, bytes], topic: str, group: int) -> bool:
    return headers.get("topic") == topic.encode() and headers.get("partition") == str(group).encode()
